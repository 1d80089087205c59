"""Chromium for the tests: the one that is here, else the system's package, else Playwright's download.

    python tests/browser.py      says which is there, and brings one if none is
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = ("/Applications/Chromium.app/Contents/MacOS/Chromium",
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")  # fmt: skip
QUIET = ("--no-first-run", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip


def find() -> str | None:
    """The path of a Chromium, or None."""
    places = [shutil.which(name) for name in NAMES] + [*APPLICATIONS]
    with sync_playwright() as playwright:
        places.append(playwright.chromium.executable_path)
    return next((place for place in places if place and Path(place).exists()), None)


def bring() -> str | None:
    """Install one, from the system's packages where we may, otherwise by Playwright; its path, or None."""
    ways = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        ways = [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"], *ways]
    quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for way in ways:
        print(f"No browser here; trying `{' '.join(way)}`", flush=True)
        try:
            subprocess.run(way, check=False, stdout=subprocess.DEVNULL, timeout=600, env=quietly)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"that failed: {error}")
        found = find()
        if found:
            return found
    return None


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """The browser, without a window."""
    sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    place = find() or bring()
    print(f"browser for the tests: {place or 'none; install chromium to run the tests that need one'}")
