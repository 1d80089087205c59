"""`python -m lib run|train|filter|bench|synthesize`: one command a room, each imported only when called."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lib.errors import TextureError

# command -> where its function lives, and what it does
COMMANDS = {
    "run": ("lib.companion.cli:run", "run the notebooks, regenerate every figure"),
    "filter": ("lib.dataset.cli:filter", "photographs -> homogeneous patches"),
    "train": ("lib.training.cli:train", "patches -> a model"),
    "bench": ("lib.training.bench:app", "how fast training is on this machine: bench train"),
    "synthesize": ("lib.models.cli:synthesize", "an image -> more of its texture"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 the command line is wrong."""
    if not arguments or arguments[0] in ("--help", "-h"):
        print("Usage: python -m lib COMMAND [options]; python -m lib COMMAND --help says which\n")
        for name, (_, does) in COMMANDS.items():
            print(f"  {name:<12}{does}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        return _error(f"unknown command {name!r}; known are {', '.join(COMMANDS)}", 2)
    try:
        return _call(_function(name), name, rest)
    except TextureError as error:
        return _error(str(error), 1)
    except OSError as error:  # no space left, a folder that may not be written, a disk that fails
        what = f"{error.filename or 'a file'}: {error.strerror or error}"
        return _error(f"{what}; mend that, and the same command goes on where it was", 1)
    except KeyboardInterrupt:
        return _error("interrupted; the same command goes on where it was", 130)


def _function(name: str) -> Callable[..., Any]:
    """Import a command's function, or its group; a package that is missing is named, with what to do."""
    module, function = COMMANDS[name][0].split(":")
    try:
        return getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        raise TextureError(
            f"{name} needs the package {error.name}; ./run_all.sh installs everything"
        ) from error


def _sizes(arguments: Sequence[str]) -> list[str]:
    """`--size 192 256` as one argument: the options of click have a fixed number of values."""
    joined = list(arguments)
    for i, word in enumerate(joined):
        if word == "--size" and all(value.isdecimal() for value in joined[i + 1 : i + 3]) and len(joined) > i + 2:
            joined[i + 1 : i + 3] = [" ".join(joined[i + 1 : i + 3])]
    return joined


def _call(function: Callable[..., Any], name: str, arguments: Sequence[str]) -> int:
    """Parse the arguments by the function's signature and call it; an int it returns is the exit code."""
    import typer

    app = function
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(function)
    command = typer.main.get_command(app)
    try:
        result = command.main(args=_sizes(arguments), prog_name=f"python -m lib {name}", standalone_mode=False)
    except Exception as error:
        # typer carries its own copy of click in newer releases: a usage error is known by its method
        if not hasattr(error, "format_message"):
            raise
        known = _known(getattr(getattr(error, "ctx", None), "command", command))
        message = error.format_message().split(" (Possible")[0].split(" Did you mean")[0].strip().rstrip(".")
        return _error(f"{message}; known are {' '.join(known)} --help", 2)
    if result == 130:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _known(command: Any) -> list[str]:
    """What may follow a command: the commands of a group, or else its options."""
    options = sorted(option for p in command.params for option in p.opts if option.startswith("--"))
    return sorted(getattr(command, "commands", options))


def _error(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
