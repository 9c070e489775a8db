# SPDX-License-Identifier: Apache-2.0
"""How the demo page looks in a real browser: on a desk, on a phone, and while states change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.testing.demo_page import PHONE, calls, wait_until_live

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

# Generous: only a failure waits that long, and the machine may be busy with other tests.
expect.set_options(timeout=30_000)

Look = Callable[..., tuple[Page, Any]]


@pytest.mark.slow
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_screenshots(stage: Any, look: Look, artifacts: Path, device: str) -> None:
    stage.post("/sessions/demo/start")
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True} if device == "phone" else {}
    page, _ = look(stage, **options)
    expect(page.locator("#strip")).to_have_attribute("data-tone", "good")
    wait_until_live(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        picture = artifacts / f"{device}_{scheme}.png"
        page.screenshot(path=picture)
        page.screenshot(path=artifacts / f"{device}_{scheme}_whole.png", full_page=True)
        assert picture.stat().st_size > 20_000


def test_a_phone_has_the_stop_under_the_thumb_and_nothing_sticks_out(stage: Any, look: Look) -> None:
    page, _ = look(stage, viewport=PHONE, has_touch=True, is_mobile=True)
    wait_until_live(page)
    expect(page.locator(".joint canvas")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for position in (0, 800, 10_000):
        page.evaluate(f"window.scrollTo(0, {position})")
        box = page.locator("#estop").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE["height"]
        assert box["width"] > PHONE["width"] / 2 and box["height"] >= 60
    small = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter(node => node.offsetParent && !node.disabled"
        " && node.getBoundingClientRect().height < 32).map(node => node.id)"
    )
    assert small == []
    page.tap("#estop")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")
    assert calls(stage, "estop") == ["arm"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_jumps_while_states_change(stage: Any, look: Look, width: int) -> None:
    page, _ = look(stage, viewport={"width": width, "height": 844})
    wait_until_live(page)
    expect(page.locator(".joint canvas")).to_have_count(6)
    page.evaluate(
        "window.shifts = []; new PerformanceObserver(list => list.getEntries().forEach(entry =>"
        " window.shifts.push([entry.value, ...entry.sources.map(source => source.node?.id)])))"
        ".observe({type: 'layout-shift'})"
    )
    page.keyboard.press("Escape")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")
    page.click("#reset")
    page.click("#start")
    expect(page.locator("#session-status")).to_have_text("running")
    stage.freeze()
    expect(page.locator("#link")).to_have_attribute("data-health", "silent")
    shifts = page.evaluate("window.shifts")
    assert sum(shift[0] for shift in shifts) < 0.02, shifts
