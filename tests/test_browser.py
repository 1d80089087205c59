"""The pages and the explorer in a real browser: nothing fails, nothing overflows, and what is moved moves."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import torch
from conftest import ROOT, Series, clean_environment
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from lib.companion.explorer import Strip
from lib.companion.film import film
from lib.companion.player import player
from lib.companion.series import find
from lib.evaluation.process import State

KEPT = ROOT / ".cache" / "browser"  # screenshots, for whoever wants to look
WIDE, NARROW = 1100, 390  # pixels: a desk, a telephone


@contextmanager
def opened(browser: Browser, width: int = WIDE) -> Iterator[Page]:
    """A page that must leave the console and the network clean."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    troubles: list[str] = []
    page.on("requestfailed", lambda request: troubles.append(f"{request.url[:200]}: {request.failure}"))
    page.on("response", lambda r: troubles.append(f"{r.url[:200]}: {r.status}") if r.status >= 400 else None)
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    try:
        yield page
    finally:
        KEPT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=KEPT / f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[-1].split(' ')[0]}.png")
        page.close()
    assert troubles == []


@pytest.mark.last
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_page_reads_offline_at_both_widths(browser: Browser, series: Series, width: int) -> None:
    assert len(list(series.site.glob("*.html"))) == len(find(series.clone / "notebooks")) + 1
    for path in sorted(series.site.glob("*.html")):
        with opened(browser, width) as page:
            page.context.set_offline(True)
            page.goto(path.as_uri())
            page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
            page.wait_for_function("[...document.images].every(image => image.complete)")
            assert page.evaluate("[...document.images].filter(i => !i.naturalWidth || !i.alt).map(i => i.src)") == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name


@pytest.mark.last
def test_links_of_the_front_page_lead_somewhere(browser: Browser, series: Series) -> None:
    with opened(browser) as page:
        page.goto((series.site / "index.html").as_uri())
        links = page.evaluate("[...document.links].map(a => a.href)")
        assert len(links) > 100
        for link in {link for link in links if link.startswith("file:")}:
            path, _, anchor = link.removeprefix("file://").partition("#")
            target = Path(urllib.request.url2pathname(path))
            assert target.exists(), link
            if anchor:
                assert f'id="{anchor}"' in target.read_text(), link
        page.locator("details summary").first.click()
        expect(page.locator("details dd").first).to_be_visible()


def test_the_player_moves_by_mouse_and_keyboard(browser: Browser, tmp_path: Path) -> None:
    coin = torch.Generator().manual_seed(0)
    lines = {
        name: {t: torch.rand(1, 3, 16, 16, generator=coin) for t in places}
        for name, places in {"a to b": (0.0, 0.25, 1.0), "</script><b>": (0.0, 1.0)}.items()
    }
    path = tmp_path / "player.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'>{player(lines)}")
    with opened(browser) as page:
        page.goto(path.as_uri())
        frame, slider = page.locator("img.frame"), page.locator("input[type=range]")
        known = json.loads(page.locator("script[type='application/json']").text_content() or "")
        assert frame.get_attribute("src") == known[0]["frames"][1]
        expect(page.locator("output")).to_have_text("t = 0.25")
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert frame.get_attribute("src") == known[0]["frames"][2]
        assert slider.get_attribute("aria-valuetext") == "t = 1.00"
        page.locator("p.row img").first.click()
        assert frame.get_attribute("src") == known[0]["frames"][0]
        page.locator("select").select_option(index=1)
        assert page.locator("p.row img").count() == 2
        assert frame.get_attribute("alt") == "</script><b>, t = 0.00"


def test_the_film_plays_from_noise_to_image(browser: Browser, tmp_path: Path) -> None:
    coin = torch.Generator().manual_seed(0)
    x = torch.rand(3, 1, 3, 96, 96, generator=coin)
    states = [
        State(sigma, *x, torch.linspace(1, 2, 30) * t, torch.linspace(1, 2, 30) * t**2, 3 - 2 * t)
        for sigma, t in ((2.0, 0.0), (0.5, 0.5), (0.0, 1.0))
    ]
    path = tmp_path / "film.html"
    path.write_text(f"<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'>{film(states)}")
    for width in (WIDE, NARROW):
        with opened(browser, width) as page:
            page.goto(path.as_uri())
            slider, said, dot = page.locator("input[type=range]"), page.locator("output"), page.locator("circle").first
            known = json.loads(page.locator("script[type='application/json']").text_content() or "")
            expect(said).to_have_text("σ = 0, mismatch left 1")
            slider.focus()
            page.keyboard.press("ArrowLeft")
            expect(said).to_have_text("σ = 0.5, mismatch left 2")
            assert [i.get_attribute("src") for i in page.locator("img").all()] == known[1]["pictures"]
            assert float(dot.get_attribute("cy") or 0) == known[1]["dots"][0]
            page.get_by_role("button").click()
            expect(page.get_by_role("button")).to_have_text("pause")
            expect(said).to_have_text("σ = 0, mismatch left 1")
            expect(page.get_by_role("button")).to_have_text("play")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            KEPT.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=KEPT / f"film_{width}.png")


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """JupyterLab on localhost, serving a folder; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = [
        "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=null", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    environment = clean_environment() | {"JUPYTER_CONFIG_DIR": str(folder / ".jupyter"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jupyterlab", *quiet]
    with (folder / "jupyterlab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(120):
                time.sleep(0.5)
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=5).close()
                    break
                except OSError:
                    assert server.poll() is None, (folder / "jupyterlab.log").read_text()
            yield address
        finally:
            server.terminate()
            server.wait(30)


CELL = """
import torch
import lib
torch.manual_seed(0)
model = lib.Model().eval().requires_grad_(False)
strip = torch.rand(3, 3, 32, 32)
explorer = lib.explorer(model, {("pebble", "grass", "mu"): strip}, size=32)
explorer.folder = __import__("pathlib").Path("kept").resolve()
explorer
"""


@pytest.mark.last
def test_the_explorer_in_jupyterlab(browser: Browser, tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell(CELL)], metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }), tmp_path / "explore.ipynb")  # fmt: skip
    own = io.BytesIO()
    Image.effect_noise((60, 50), 60).convert("RGB").save(own, "png")
    with jupyterlab(tmp_path) as address, opened(browser, 1400) as page:
        page.goto(f"{address}/lab/tree/explore.ipynb", wait_until="domcontentloaded")
        page.wait_for_function("window.jupyterapp", timeout=60_000)
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        shown = page.locator(".widget-image").nth(1)
        expect(shown).to_be_visible(timeout=120_000)
        words = page.locator("[role=status]")
        expect(words).to_contain_text("Sampled at t = 0.50", timeout=60_000)

        handle = page.locator(".noUi-handle")
        first = shown.get_attribute("src")
        handle.focus()
        for _ in range(40):
            page.keyboard.press("ArrowRight")
        expect(words).to_contain_text("Sampled at t = 1.00")
        assert shown.get_attribute("src") != first

        page.get_by_role("button", name="Sample here").click()
        expect(page.get_by_role("button", name="Stop")).to_be_enabled(timeout=30_000)
        page.get_by_role("button", name="Stop").click()
        expect(words).to_contain_text("stopped at step", timeout=60_000)
        expect(page.get_by_role("button", name="Sample here")).to_be_enabled()

        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Your images").click()
        chooser.value.set_files([{"name": "wall.png", "mimeType": "image/png", "buffer": own.getvalue()}])
        expect(page.locator(".widget-dropdown select").first).to_have_value("wall", timeout=30_000)
        before = shown.get_attribute("src")
        handle.focus()
        page.keyboard.press("Home")
        expect(words).to_contain_text("The exemplar itself, wall", timeout=30_000)
        assert shown.get_attribute("src") != before

        page.locator(".widget-button", has_text="Save").click()
        expect(words).to_contain_text("saved", timeout=30_000)
    saved = next((tmp_path / "kept").glob("*.json"))
    assert json.loads(saved.read_text())["a"] == "wall"
    assert {"a", "b", "space", "seed", "size"} == set(Strip._fields)
