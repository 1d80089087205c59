"""The card of a checkpoint: what it is, what made it, and how well it denoises, in Markdown."""

import platform
from typing import Any

import torch

from lib.model import Model


def write_card(model: Model, recipe: dict[str, Any], data_card: str = "") -> str:
    """Markdown for a model and the recipe that made it; `data_card` says what the training data are."""
    architecture = model.architecture
    f = sum(p.numel() for p in model.statistics.parameters())
    phi = sum(p.numel() for p in model.lambda_phi.parameters())
    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    lines = [
        f"# Checkpoint `{recipe['configuration']}`",
        "",
        f"Statistics f ({model.dim}: {architecture.known} built in, {model.dim - architecture.known} learned) and "
        f"multipliers lambda of a maximum-entropy model of visual textures (Zhao & Simoncelli, Eq. 1-4).",
        f"{f:,} parameters in f_theta, {phi:,} in lambda_phi; weights in float16.",
        "",
        "For making, denoising and comparing images of *textures*: homogeneous surfaces. Not for scenes or objects.",
        "",
        "## How it was made",
        f"{recipe['trained_steps']:,} steps, {_schedule(recipe, 'U-Net' if architecture.apart else 'waves')} "
        f"({recipe['samples']:,} samples; the paper: five passes over one million patches of 128x128); AdamW at "
        f"{recipe['rate']:g}, {_muon(recipe)}seed {recipe['seed']}, {recipe['seconds'] / 60:.0f} minutes on {machine}.",
        *_before(recipe),
        "",
        data_card or f"Data: {', '.join(recipe['data'])}.",
    ]
    if not recipe["losses"]:
        return "\n".join([*lines, "", "Not measured yet: training goes on."]) + "\n"
    lines += [
        "",
        "## Loss by noise level",
        "Mean over pixels of |eps_hat - eps|^2 on photographs that were not trained on; predicting zero scores 1.",
        "",
        "| denoiser | " + " | ".join(f"{s:g}" for s in recipe["losses"]["sigmas"]) + " |",
        "|---" * (len(recipe["losses"]["sigmas"]) + 1) + "|",
    ]
    for row, values in recipe["losses"].items():
        if row != "sigmas":
            lines.append(f"| {row} | " + " | ".join(f"{v:.4f}" for v in values) + " |")
    return "\n".join(lines) + "\n"


def _muon(recipe: dict[str, Any]) -> str:
    return f"Muon at {recipe['muon']:g} for the U-Net's filters, " if recipe.get("muon") else ""


def _schedule(recipe: dict[str, Any], first: str) -> str:
    """How long what learns `first` is alone, and when crops grow: by steps, or by shares of the time that was given."""
    warm, grow = recipe["warm"], recipe["grow"]
    crops = f"{recipe['batch']} crops of {recipe['size']}x{recipe['size']} pixels a step"
    if recipe.get("minutes"):
        steps = recipe["steps"]
        begun, grown = f"the first {warm / steps:.0%} of the time", f"from {grow / steps:.0%} of the time on"
    else:
        begun, grown = f"{warm:,} of them", f"from step {grow:,} on"
    later = "" if grow >= recipe["steps"] else f", {grown} half as many, of 3/2 the side"
    alone = "" if recipe.get("start") else f"{begun} with the {first} alone; "
    return f"{alone}{crops}{later}"


def _before(recipe: dict[str, Any]) -> list[str]:
    """What the model had learned when this training began, and what it comes to in all."""
    if not (before := recipe.get("before")):
        return []
    minutes, samples = (recipe["seconds"] + before["seconds"]) / 60, recipe["samples"] + before["samples"]
    return [
        f"Begun from the weights of `{before['name']}` (sha256 `{before['sha256']}`), which had seen "
        f"{before['samples']:,} samples in {before['seconds'] / 60:.0f} minutes: {samples:,} in {minutes:.0f} in all."
    ]


def _processor() -> str:
    return f"{torch.get_num_threads()} threads of {platform.machine()}"
