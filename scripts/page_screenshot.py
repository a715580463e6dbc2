"""Take docs/page.png, the page of `fdcn serve` in a real browser, with a bundle of the shipped checkpoint.

fdcn export examples/fashion_mnist/fashion-mnist.safetensors fashion-mnist
python scripts/page_screenshot.py fashion-mnist docs/page.png
"""

import argparse
import contextlib
import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WINDOW: ViewportSize = {"width": 1160, "height": 800}
COLOURS = 96
"""Of the file: a page has few, and it stays small."""
SOON = 60_000
"""Milliseconds after which it is stuck."""
FOUR = "#label=7&label=8&label=3&label=9&size=28x28&seed=7&steps=10&guidance=2"
LONG = "#label=2&label=5&size=56x28&seed=12&steps=100&guidance=2&solver=heun"
"""Pictures that take long enough to be caught in the making."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    with serving(arguments.bundle) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW)
        page.set_default_timeout(SOON)
        page.goto(url)
        shot = taken(page)
        browser.close()
    with Image.open(io.BytesIO(shot)) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(arguments.picture, optimize=True)


@contextlib.contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """`fdcn serve` on a free port: its address."""
    command = [sys.executable, "-m", "fdcn.cli", "serve", str(bundle), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        try:
            found = (re.search(r"http://\S+", line) for line in server.stdout)
            yield next(address.group() for address in found if address)
        finally:
            server.send_signal(signal.SIGTERM)


def taken(page: Page) -> bytes:
    """A PNG of the page with a finished request and one in the making."""
    expect(page.get_by_role("form", name="Request")).to_be_visible(timeout=SOON)
    ask(page, FOUR)
    expect(page.locator("article:not([aria-busy])")).to_be_visible(timeout=SOON)
    ask(page, LONG)
    expect(page.locator("article .doing")).to_have_text(re.compile(r"^[67]\d of 100$"), timeout=SOON)
    page.evaluate("() => scrollTo({ top: 0, behavior: 'instant' })")
    return page.screenshot()


def ask(page: Page, settings: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", settings)
    page.locator("#status", has_text="The form has these settings").wait_for(state="attached")
    page.get_by_role("button", name="Generate").click()


if __name__ == "__main__":
    main()
