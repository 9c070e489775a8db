# SPDX-License-Identifier: Apache-2.0
"""What every test of the demo page asks of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page


PHONE = {"width": 390, "height": 844}


def calls(stage: Any, verb: str) -> list[str]:
    """The arms that were asked for `verb`, in order."""
    asked: list[str] = stage.do(lambda: [arm for arm, called in stage.fake.calls if called == verb])
    return asked


def wait_until_live(page: "Page") -> None:
    """Until the page says that the arm and its first camera are live; AssertionError if they never are."""
    from playwright.sync_api import expect

    expect(page.locator("#link")).to_have_attribute("data-health", "live")
    expect(page.locator("#camera-0")).to_have_attribute("data-state", "live")
