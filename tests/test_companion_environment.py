"""One place for versions, installed alike with conda and without; run_all.sh and what it says."""

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from lib.companion import cli, environment

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "environment.yml").read_text()


def test_both_ways_install_the_same_pins() -> None:
    by_conda = yaml.safe_load(TEXT)["dependencies"]
    pip = next(item["pip"] for item in by_conda if isinstance(item, dict))
    script = [sys.executable, "-S", "-E", str(ROOT / "lib" / "companion" / "environment.py"), "requirements"]
    by_pip = subprocess.run(script, capture_output=True, text=True, check=True, cwd="/").stdout.splitlines()
    assert by_pip == pip
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in pip)
    assert len({line.split("==")[0] for line in pip}) == len(pip)
    assert by_conda[0] == "python=3.11"  # what run_all.sh asks conda for, and the oldest that works


def test_versions_stand_nowhere_else() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = settings["project"]["dependencies"] + settings["build-system"]["requires"]
    pinned = {line.split("==")[0] for line in environment.requirements(TEXT)}
    assert set(names) <= pinned  # bare names, all of them listed
    assert not re.search(r"[a-z]==\d", (ROOT / "run_all.sh").read_text())


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not in the environment of run_all.sh")
def test_what_is_installed_is_what_is_pinned() -> None:
    for line in environment.requirements(TEXT):
        name, version = line.split("==")
        assert importlib.metadata.version(name).split("+")[0] == version, name


def test_a_loose_version_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3: 'numpy>=2' is not pinned"):
        environment.requirements("dependencies:\n  - pip:\n    - numpy>=2\n")
    with pytest.raises(ValueError, match="no pip section"):
        environment.requirements("dependencies:\n  - python=3.11\n")


def test_the_stamp_follows_what_is_asked_for(tmp_path: Path) -> None:
    for name in ("environment.yml", "pyproject.toml"):
        (tmp_path / name).write_text("a")
    before = environment.stamp(tmp_path)
    assert before == environment.stamp(tmp_path)
    (tmp_path / "environment.yml").write_text("b")
    assert environment.stamp(tmp_path) != before


def script(*arguments: str, path: str | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environ = os.environ | ({"PATH": path} if path else {})
    command = ["/bin/bash", str(cwd / "run_all.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)


def options() -> set[str]:
    """What `python -m lib run` knows."""
    app = typer.Typer()
    app.command()(cli.run)
    found = {
        option for p in typer.main.get_command(app).params for option in p.opts if option.startswith("--")
    }
    return found - {"--install-completion", "--show-completion"}


def test_help_needs_no_environment_and_names_every_option() -> None:
    done = script("--help")
    assert done.returncode == 0
    assert set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE)) == options() | {"--test", "--help"}


def test_an_unknown_option_is_told_before_anything_is_installed() -> None:
    done = script("--speed")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert options() | {"--speed", "--test"} <= set(re.findall(r"--[a-z-]+", done.stderr))


def clone(tmp_path: Path, python: str) -> tuple[Path, str]:
    """What run_all.sh needs before an environment is there, and a PATH where `python3` is this script."""
    root, tools = tmp_path / "a clone", tmp_path / "tools"
    for folder in (root / "lib" / "companion", tools):
        folder.mkdir(parents=True)
    for name in ("run_all.sh", "environment.yml", "pyproject.toml", "lib/companion/environment.py"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    for name in ("dirname", "sed", "cat", "mkdir", "ln", "touch"):
        os.symlink(
            next(p for p in (Path("/usr/bin") / name, Path("/bin") / name) if p.exists()), tools / name
        )
    (tools / "python3").write_text(python)
    (tools / "python3").chmod(0o755)
    return root, str(tools)


def test_an_old_python_is_told_in_one_line(tmp_path: Path) -> None:
    old = '#!/bin/bash\n[[ $1 == --version ]] && echo "Python 3.9.1" && exit\nexit 1\n'
    root, path = clone(tmp_path, old)
    done = script(path=path, cwd=root)
    assert done.returncode == 1
    assert done.stderr == "run_all.sh: Python 3.11 or newer is needed, or conda; found Python 3.9.1\n"


def fake_python() -> str:
    """A Python that makes environments and installs by writing down what it was asked."""
    return f"""#!/bin/bash
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
case "$*" in
    "-m venv"*) mkdir -p "$4/bin" && cat "$0" >"$4/bin/python" && exec "{sys.executable}" -c \\
        'import os, sys; os.chmod(sys.argv[1], 0o755)' "$4/bin/python" ;;
    "-m pip install"*) echo "$*" >>"$here/../installed"; [[ ! -e $here/../../stop ]] ;;
    "-m pip"*) ;;
    "-m lib"* | "-m pytest"*) printf '<%s>' "$@" ;;
    "-m"* | tests/browser.py) ;;
    *) exec "{sys.executable}" "$@" ;;
esac
"""


def test_an_interrupted_installation_goes_on_and_a_finished_one_is_left_alone(tmp_path: Path) -> None:
    root, path = clone(tmp_path, fake_python())
    (root / "stop").touch()
    first = script("--list", path=path, cwd=root)
    assert first.returncode == 1
    assert first.stderr.endswith("the same command goes on\n")
    assert not (root / ".venv" / "stamp").exists()

    (root / "stop").unlink()
    second = script("--only", "06", "--data", "my photographs", path=path, cwd=root)
    assert second.returncode == 0, second.stderr
    assert "Making .venv" not in second.stdout  # what was there of it is used
    assert second.stdout.endswith("<-m><lib><run><--only><06><--data><my photographs>")
    calls = (root / ".venv" / "installed").read_text()
    assert (root / ".venv" / "requirements.txt").read_text().splitlines() == environment.requirements(TEXT)

    third = script("--test", "-k", "energy", path=path, cwd=root)
    assert third.returncode == 0
    assert third.stdout.startswith("<-m><pytest><--numprocesses><auto>")
    assert third.stdout.endswith("<-k><energy>")
    assert (root / ".venv" / "installed").read_text() == calls

    python = root / ".venv" / "bin" / "python"
    python.write_text("#!/bin/bash\nexit 127\n")  # the Python it was made from is gone, or an older one now
    fourth = script("--list", path=path, cwd=root)
    assert fourth.returncode == 0, fourth.stderr
    assert "Making .venv" in fourth.stdout

    with (root / "environment.yml").open("a") as file:
        file.write("    - another==1.0\n")
    assert script("--list", path=path, cwd=root).returncode == 0
    assert "another==1.0" in (root / ".venv" / "requirements.txt").read_text()


def test_without_a_network_it_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real pip, that reaches nothing."""
    root, path = clone(tmp_path, f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0", "FIND_LINKS": ""}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    done = script(path=path, cwd=root)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("run_all.sh: pip stopped, for the reason above; it needs a network")


def test_conda_is_used_where_there_is_one(tmp_path: Path) -> None:
    root, path = clone(tmp_path, "#!/bin/bash\nexit 1\n")
    conda = Path(path) / "conda"
    body = fake_python().replace("'", "'\\''")
    conda.write_text(
        f'#!/bin/bash\necho "$*"\nmkdir -p "$5/bin"\nprintf %s \'{body}\' >"$5/bin/python"\n'
        f"{shlex.quote(sys.executable)} -c 'import os, sys; os.chmod(sys.argv[1], 0o755)' \"$5/bin/python\"\n"
    )
    conda.chmod(0o755)
    done = script("--list", path=path, cwd=root)
    assert done.returncode == 0, done.stderr
    assert f"create --yes --quiet --prefix {root}/.venv" in done.stdout
    assert "python=3.11 pip" in done.stdout
    assert (root / ".venv" / "requirements.txt").read_text().splitlines() == environment.requirements(TEXT)
