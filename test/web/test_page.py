# SPDX-License-Identifier: Apache-2.0
"""The demo page in a real browser against the real bridge: it shows what is, and its buttons reach the arms."""

import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from lerobot_arena.core.verdict import Decision
from lerobot_arena.testing.demo_page import PHONE, calls, wait_until_live

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

# Generous: only a failure waits that long, and the machine may be busy with other tests.
expect.set_options(timeout=30_000)

Look = Callable[..., tuple[Page, Any]]


def _start(page: Page) -> None:
    wait_until_live(page)
    page.click("#start")
    expect(page.locator("#session-status")).to_have_text("running")
    expect(page.locator("#strip")).to_have_attribute("data-tone", "good")


# What it shows


def test_cameras_joints_verdicts_queue_timing_and_score_are_live(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    _start(page)
    for slot, name in (("#camera-0", "front"), ("#camera-1", "wrist")):
        expect(page.locator(slot)).to_have_attribute("data-state", "live")
        expect(page.locator(f"{slot} h2")).to_have_text(name)
        first = page.locator(f"{slot} canvas").evaluate("canvas => canvas.toDataURL()")
        page.wait_for_function(
            "([slot, first]) => document.querySelector(`${slot} canvas`).toDataURL() !== first",
            arg=[slot, first],
        )
    assert page.locator("#camera-0 canvas").evaluate("canvas => [canvas.width, canvas.height]") == [640, 480]
    expect(page.locator(".joint .name")).to_have_text(
        ["shoulder pan", "shoulder lift", "elbow flex", "wrist flex", "wrist roll", "gripper"]
    )
    expect(page.locator(".joint canvas")).to_have_count(6)
    expect(page.locator("#checks")).to_contain_text("position limits")
    expect(page.locator("#guard-totals")).to_have_text("PASS 100 %")
    expect(page.locator("#queue")).to_have_text(re.compile(r"[1-9]\d?"))
    expect(page.locator("#age")).to_have_text("50.0")
    expect(page.locator("#policy-stages")).to_contain_text("policy: network")
    expect(page.locator("#guard-stages")).to_contain_text("guard: total")
    expect(page.locator("#task-episode")).to_have_text("1")
    assert seen.hosts == {stage.url.removeprefix("http://")}


def test_the_page_may_load_nothing_foreign_and_is_never_shown_from_an_old_cache(stage: Any) -> None:
    for path in ("/ui", "/ui/", "/ui/app.js"):
        with urllib.request.urlopen(stage.url + path, timeout=30) as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_the_score_counts_what_the_referee_says(stage: Any, look: Look) -> None:
    from dataclasses import replace

    def judge() -> None:
        task = stage.fake.tasks["arm"]
        stage.fake.tasks["arm"] = replace(
            task, episode=9, successes=7, failures=1, is_success=True, is_over=True
        )

    stage.do(judge)
    page, _ = look(stage)
    expect(page.locator("#task-rate")).to_have_text("88 %")
    expect(page.locator("#task-successes")).to_have_text("7")
    expect(page.locator("#task-failures")).to_have_text("1")
    expect(page.locator("#task-stage")).to_have_text("Done")


def test_an_intervention_shows_its_check_layer_and_reason(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)

    def clamp() -> None:
        guard = stage.fake.guards["arm"]
        stage.fake.feed.push("arm", stage.fake.cycle(guard, guard.cycle_count + 1, Decision.CLAMP))

    stage.do(clamp)
    row = page.locator("#notable li").first
    expect(row).to_contain_text("CLAMP")
    expect(row).to_contain_text("position limits")
    expect(row).to_contain_text("a joint would have left its range")
    chip = page.locator("#checks li", has_text="position limits")
    expect(chip.locator(".layer")).to_have_text("L1")
    # One cycle of 50 a second stays visible for a second, then the chip tells of now again.
    expect(chip).to_have_attribute("data-decision", "PASS")
    expect(row).to_contain_text("CLAMP")


def test_the_second_camera_can_be_shown_large(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    wait_until_live(page)
    page.click("#swap")
    expect(page.locator("#camera-0 h2")).to_have_text("wrist")
    expect(page.locator("#camera-0")).to_have_attribute("data-state", "live")
    expect(page.locator("#camera-1 h2")).to_have_text("front")


# What it does


def test_estop_is_sent_at_once_acknowledged_and_latched_until_reset(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    _start(page)
    page.click("#estop")
    expect(page.locator("#strip")).to_have_attribute("data-tone", "alarm")
    expect(page.locator("#sentence")).to_contain_text("Emergency stop is latched")
    expect(page.locator("#sentence")).to_contain_text("Acknowledged by the guard of arm.")
    expect(page.locator("#sentence")).to_contain_text("Embodiment acknowledged: the arm holds")
    assert calls(stage, "estop") == ["arm"]
    assert stage.do(lambda: stage.fake.guards["arm"].state) == "emergency"
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#session-status")).to_have_text("stopped")
    page.click("#reset")
    expect(page.locator("#strip")).not_to_have_attribute("data-tone", "alarm")
    expect(page.locator("#start")).to_be_enabled()
    assert stage.do(lambda: stage.fake.guards["arm"].state) == "idle"
    assert seen.posts == ["sessions/demo/start", "api/control/estop", "api/control/reset?arm=arm"]


def test_escape_and_space_stop_but_space_on_a_control_is_its_own(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    wait_until_live(page)
    page.focus("#start")
    page.keyboard.press("Space")
    expect(page.locator("#session-status")).to_have_text("running")
    assert seen.posts == ["sessions/demo/start"]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")
    page.click("#reset")
    expect(page.locator("#estop")).not_to_have_attribute("data-latched", "true")
    page.focus("#stop")
    page.keyboard.press("Escape")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")
    assert calls(stage, "estop") == ["arm", "arm"]


def test_an_estop_nobody_acknowledges_is_repeated_and_then_said_loudly(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    _start(page)
    stage.do(lambda: (stage.fake.dead_guards.add("arm"), stage.fake.dead_embodiments.add("arm")))
    page.click("#estop")
    expect(page.locator("#estop")).to_have_attribute("data-phase", "sent")
    expect(page.locator("#estop")).to_have_attribute("data-phase", "failed")
    expect(page.locator("#estop")).to_contain_text("NOT ACKNOWLEDGED")
    expect(page.locator("#sentence")).to_contain_text("E-stop not acknowledged")
    expect(page.locator("#sentence")).to_contain_text("Cut the arm's power")
    assert seen.posts.count("api/control/estop") == 5
    stage.do(lambda: (stage.fake.dead_guards.clear(), stage.fake.dead_embodiments.clear()))
    page.click("#estop")
    expect(page.locator("#sentence")).to_contain_text("Emergency stop is latched")


@pytest.mark.parametrize("stage", [("left", "right")], indirect=True)
def test_estop_stops_every_arm_and_names_the_one_that_did_not_answer(stage: Any, look: Look) -> None:
    stage.do(lambda: (stage.fake.dead_guards.add("right"), stage.fake.dead_embodiments.add("right")))
    page, _ = look(stage)
    page.click("#estop")
    expect(page.locator("#estop")).to_have_attribute("data-phase", "failed")
    expect(page.locator("#sentence")).to_contain_text("not acknowledged by right")
    assert set(calls(stage, "estop")) == {"left", "right"}


def test_start_and_stop_drive_the_session(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    assert stage.do(lambda: stage.fake.guards["arm"].state) == "running"
    page.click("#stop")
    expect(page.locator("#session-status")).to_have_text("stopped")
    assert stage.do(lambda: stage.fake.guards["arm"].state) == "stopped"
    expect(page.locator("#start")).to_be_enabled()


def test_pause_holds_and_the_same_button_goes_on(stage: Any, look: Look) -> None:
    page, seen = look(stage)
    wait_until_live(page)
    expect(page.locator("#pause")).to_be_disabled()
    _start(page)
    page.click("#pause")
    expect(page.locator("#pause")).to_have_text("Resume")
    expect(page.locator("#session-status")).to_have_text("paused")
    expect(page.locator("#sentence")).to_contain_text("Paused")
    expect(page.locator("#start")).to_be_disabled()
    assert stage.do(lambda: stage.fake.guards["arm"].state) == "paused"
    page.click("#pause")
    expect(page.locator("#session-status")).to_have_text("running")
    expect(page.locator("#pause")).to_have_text("Pause")
    assert seen.posts[1:] == ["api/control/pause?arm=arm", "api/control/resume?arm=arm"]


def test_risk_reaction_and_boundaries_are_told(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    wait_until_live(page)
    expect(page.locator("#boundaries-of")).to_have_text("Boundaries of task default")
    expect(page.locator("#boundaries")).to_have_text("not forever")
    expect(page.locator("#risk")).to_have_text("normal")
    _start(page)
    stage.freeze()

    def reject() -> None:
        guard = stage.fake.guards["arm"]
        for number in range(3):
            record = stage.fake.cycle(guard, guard.cycle_count + 1 + number, Decision.REJECT)
            stage.fake.feed.push("arm", record)

    stage.do(reject)
    expect(page.locator("#risk")).to_have_text("critical")
    expect(page.locator("#reaction")).to_have_text("hold position")
    # No word from the guard: nothing is known of now.
    expect(page.locator("#risk")).to_have_text("–")
    expect(page.locator("#reaction")).to_have_text("–")


def test_a_guard_that_does_not_guard_is_shouted(stage: Any, look: Look) -> None:
    from dataclasses import replace

    page, _ = look(stage)
    _start(page)
    expect(page.locator("#unguarded")).to_be_hidden()

    def monitor() -> None:
        stage.fake.guards["arm"] = replace(stage.fake.guards["arm"], enforcement="monitor")

    stage.do(monitor)
    expect(page.locator("#unguarded")).to_contain_text("DOES NOT GUARD")
    expect(page.locator("#strip")).to_have_attribute("data-tone", "alarm")
    page.set_viewport_size(PHONE)
    page.evaluate("window.scrollTo(0, 1500)")
    box = page.locator("#unguarded").bounding_box()
    assert box is not None and 0 <= box["y"] < 200, "it stays in sight"


def test_a_reset_that_is_refused_names_every_cause(stage: Any, look: Look) -> None:
    stage.do(lambda: stage.fake.causes.update(arm=("The gripper is 71 °C.", "No joint state for 3 s.")))
    page, _ = look(stage)
    wait_until_live(page)
    page.click("#estop")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")
    page.click("#reset")
    expect(page.locator("#notice")).to_contain_text("The gripper is 71 °C. No joint state for 3 s.")
    expect(page.locator("#estop")).to_have_attribute("data-latched", "true")


def test_a_refusal_is_shown_in_the_bridges_words(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    page.click("#scene")
    expect(page.locator("#notice")).to_contain_text("The arm is being commanded: stop the session first.")
    page.click("#stop")
    expect(page.locator("#session-status")).to_have_text("stopped")
    page.click("#scene")
    expect(page.locator("#task-episode")).to_have_text("2")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_failing_policy_is_named(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    stage.do(lambda: stage.fake.fail("demo", "The policy worker died (signal 9)."))
    expect(page.locator("#sentence")).to_have_text("The policy worker died (signal 9).")
    expect(page.locator("#session-status")).to_have_text("error")


@pytest.mark.parametrize("stage", [("left", "right")], indirect=True)
def test_another_arm_can_be_chosen(stage: Any, look: Look) -> None:
    stage.add_session("second", "right")
    page, _ = look(stage)
    wait_until_live(page)
    expect(page.locator("#arm")).to_have_value("left")
    expect(page.locator("#session")).to_have_value("demo")
    page.select_option("#arm", "right")
    expect(page.locator("#session")).to_have_value("second")
    _start(page)
    assert stage.do(lambda: (stage.fake.guards["left"].state, stage.fake.guards["right"].state)) == (
        "idle",
        "running",
    )


# What is old never looks live


@pytest.mark.slow
def test_silence_of_the_arm_greys_everything(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    stage.freeze()
    expect(page.locator("#link")).to_have_attribute("data-health", "silent")
    expect(page.locator("#strip")).to_have_attribute("data-tone", "lost")
    expect(page.locator("#since")).to_contain_text("no data for")
    for slot in ("#camera-0", "#camera-1"):
        expect(page.locator(slot)).to_have_attribute("data-state", "stale")
        expect(page.locator(f"{slot} .veil")).to_contain_text("OLD PICTURE")
        assert "grayscale" in page.locator(f"{slot} canvas").evaluate("node => getComputedStyle(node).filter")
    for panel in ("joints", "guard", "timing", "task"):
        expect(page.locator(f".panel.{panel}")).to_have_attribute("data-stale", "true")
    expect(page.locator("#session-status")).to_have_attribute("data-status", "unknown")
    stage.do(stage.live)
    wait_until_live(page)
    expect(page.locator("#joints")).not_to_have_attribute("data-stale", "true")


def test_one_camera_that_stops_is_greyed_alone(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    stage.frames_hz = 0.0
    stage.freeze()
    stage.do(stage.live)
    expect(page.locator("#camera-0")).to_have_attribute("data-state", "stale")
    expect(page.locator("#link")).to_have_attribute("data-health", "live")


@pytest.mark.slow
def test_a_lost_bridge_is_unmistakable_and_comes_back_by_itself(stage: Any, look: Look) -> None:
    page, _ = look(stage)
    _start(page)
    stage.close()
    expect(page.locator("#link")).to_have_attribute("data-health", "offline")
    expect(page.locator("#sentence")).to_contain_text("Connection to the bridge lost")
    page.click("#estop")
    expect(page.locator("#estop")).to_have_attribute("data-phase", "failed")
    expect(page.locator("#sentence")).to_contain_text("The bridge cannot be reached")
    stage.open()
    wait_until_live(page)


_NOTE_HEALTH = """
document.addEventListener('DOMContentLoaded', () => {
  const link = document.getElementById('link');
  window.healths = [];
  new MutationObserver(() => window.healths.push(link.dataset.health)).observe(link, {attributes: true});
});
"""


def test_replayed_cycles_never_look_live(stage: Any, look: Look) -> None:
    stage.post("/sessions/demo/start")
    time.sleep(0.3)
    stage.freeze()
    page, _ = look(stage, script=_NOTE_HEALTH)
    expect(page.locator(".joint canvas")).to_have_count(6)
    expect(page.locator("#link")).to_have_attribute("data-health", "silent")
    assert page.evaluate("window.healths") == ["silent"]
    expect(page.locator("#joints")).to_have_attribute("data-stale", "true")
    expect(page.locator("#camera-0")).to_have_attribute("data-state", "waiting")
