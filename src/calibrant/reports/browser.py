"""A Chromium that is installed, without a window: it prints the report as PDF."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import OutputError, SettingsError
from calibrant.core.reading import read_bytes
from calibrant.core.scratch import ScratchFolder

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_SECONDS = 120


def find_browser() -> Path | None:
    """The first of Chromium, Chrome and Edge that is installed; None: there is none."""
    found = (shutil.which(name) for name in BROWSERS)
    return next((Path(path) for path in found if path), None)


def require_browser() -> Path:
    """The browser that is installed. Raises SettingsError."""
    browser = find_browser()
    if browser is None:
        raise SettingsError(
            "a PDF needs Chromium, Chrome or Edge, and none is installed, e.g. no 'chromium' on the PATH; "
            "install one, or print report.html from any browser"
        )
    return browser


def headless_command(browser: Path, profile: Path) -> list[str]:
    """How to start a browser without a window, with a profile of its own, and silent on the network."""
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    own = (f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu")
    command = [str(browser), "--headless", *own, *quiet]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # Chromium refuses to be root's with its sandbox
        command.append("--no-sandbox")
    return command


def print_pdf(page: Path, pdf: Path) -> None:
    """Print an HTML file as PDF. Raises SettingsError where no browser is found, OutputError if it fails."""
    browser = require_browser()
    with ScratchFolder() as folder:
        made = folder / "report.pdf"
        arguments = ["--no-pdf-header-footer", f"--print-to-pdf={made}", page.absolute().as_uri()]
        _run([*headless_command(browser, folder / "profile"), *arguments], browser)
        if not made.is_file():
            raise OutputError(f"{browser} printed no PDF of {page}; print it from a browser instead")
        content = read_bytes(made)
    write_bytes(pdf, content)


def _run(command: list[str], browser: Path) -> None:
    try:
        subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"{browser} printed for {_SECONDS} s; print report.html from a browser") from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise OutputError(f"{browser} failed to print: {error}; print report.html from a browser") from error
