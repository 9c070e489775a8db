# SPDX-License-Identifier: Apache-2.0
"""Take a picture of the running page: `.venv/bin/python scripts/screenshot.py docs/images/demo.png`."""

import argparse
import shutil
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8001/ui")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=["light", "dark"], default="dark")
    parser.add_argument(
        "--after", type=float, default=12.0, help="seconds to watch first, so that the plots fill"
    )
    parser.add_argument("--whole", action="store_true", help="the whole page, not only its first screen")
    take(parser.parse_args())


def take(options: argparse.Namespace) -> None:
    """Wait until the page is live, watch it for a while, and save what it shows."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        raise SystemExit("There is no Chromium: `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        viewport = {"width": options.width, "height": options.height}
        page = browser.new_page(viewport=viewport, color_scheme=options.scheme)
        page.goto(options.url)
        page.wait_for_selector("#link[data-health=live]")
        page.wait_for_selector("#camera-0[data-state=live]")
        page.wait_for_timeout(options.after * 1000)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=options.out, full_page=options.whole)
        browser.close()


main()
