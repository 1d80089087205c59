#!/usr/bin/env bash
# Every figure of the companion, from nothing: makes the environment once, then runs the notebooks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD
env=$here/.venv
python=$env/bin/python
export PYTHONNOUSERSITE=1 # what is in ~/.local is not of this environment
unset PYTHONDONTWRITEBYTECODE # or every start would compile its imports again: --no-compile below leaves them to the first

usage() {
    cat <<'TEXT'
Usage: ./run_all.sh [options]

Makes the environment in .venv (once), runs all notebooks, writes figures/ and site/ (executed notebooks
and pages that read without a network). What is unchanged since the last run is reused.

  --profile smoke|laptop|paper   how much to compute (default: laptop)
  --only 06                      one notebook, by number or name; may be repeated
  --data DIR                     your own images, or ImageNet-21K's tars
  --device cpu|cuda|mps          where to train (default: cpu; with paper: cuda); sampling stays on the cpu
  --out DIR                      write figures/ and site/ under DIR instead (smoke: .cache/smoke)
  --fresh                        recompute everything
  --update                       also put the outputs into notebooks/ (laptop)
  --list                         name the notebooks and what they make, and stop
  --dry-run                      say what would be done, with the resolved settings, and stop
  --lab                          open the notebooks in JupyterLab
  --test                         ruff, mypy and the tests; what follows goes to pytest
  --help                         this text
TEXT
}

fail() { echo "run_all.sh: $*" >&2; exit 1; }

# Mistakes are told now, not after the installation.
test=
lab=
rest=()
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --test) test=yes; shift; rest=("$@"); break ;;
        --lab) lab=yes ;;
        --profile | --only | --data | --device | --out)
            (($# > 1)) || fail "$1 needs a value; see --help"
            rest+=("$1" "$2"); shift ;;
        --profile=* | --only=* | --data=* | --device=* | --out=* | --fresh | --update | --list | --dry-run)
            rest+=("$1") ;;
        *) fail "unknown option $1; known are --profile --only --data --device --out --fresh --update --list" \
                "--dry-run --lab --test --help" ;;
    esac
    shift
done

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

make_python() {
    local conda candidate version
    version=$(sed -n 's/^  - \(python=.*\)$/\1/p' environment.yml)
    for conda in micromamba mamba conda "${MAMBA_EXE-}" "${CONDA_EXE-}"; do
        command -v "$conda" >/dev/null 2>&1 || continue
        echo "Making .venv with $conda ($version)"
        "$conda" create --yes --quiet --prefix "$env" --override-channels --channel conda-forge "$version" pip \
            && return
        echo "$conda could not; trying a Python that is here" >&2
        break
    done
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
        new_enough "$candidate" || continue
        echo "Making .venv with $candidate ($("$candidate" --version 2>&1))"
        "$candidate" -m venv --clear "$env" && return
        fail "$candidate cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
    done
    fail "Python 3.11 or newer is needed, or conda; found $(python3 --version 2>&1 || echo no Python)"
}

# The stamp is written last: an interrupted installation goes on where it was, a finished one is not repeated.
ready() { [[ -x $python ]] && [[ $(cat "$env/stamp" 2>/dev/null) == "$("$python" lib/companion/environment.py stamp)" ]]; }

if ! ready; then
    new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1 || make_python
    echo "Installing what environment.yml lists; once, some minutes"
    "$python" lib/companion/environment.py requirements >"$env/requirements.txt"
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile --requirement "$env/requirements.txt" \
        || fail "pip stopped, for the reason above; it needs a network and 2 GB of disk; the same command goes on"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
        || fail "pip could not install lib, for the reason above; the same command goes on"
    "$python" lib/companion/environment.py stamp >"$env/stamp"
fi

if [[ $test ]]; then
    status=0
    "$python" tests/browser.py || status=1
    "$python" -m ruff check . || status=1
    "$python" -m mypy || status=1
    # one thread a process: several that share two cores wait for each other
    OMP_NUM_THREADS=1 "$python" -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup \
        ${rest[@]+"${rest[@]}"} || status=1
    exit $status
fi
[[ $lab ]] && exec "$python" -m lib run --lab ${rest[@]+"${rest[@]}"}
exec "$python" -m lib run ${rest[@]+"${rest[@]}"}
