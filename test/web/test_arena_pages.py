# SPDX-License-Identifier: Apache-2.0
"""The pages of the arena, the leaderboard and an owner over the real bridge: what they show, and what goes wrong.

A whole matchup whose panes run is clicked through in test_published_run.py.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, Route, expect

from lerobot_arena.platform.arena.matchup import FAILED, OPEN_S, PHYSICAL, READY, Matchup, Side
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY, ROBOT, SCENE, Item
from lerobot_arena.testing.bridge_rig import PASSWORD
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
expect.set_options(timeout=20_000)

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
HOSTILE = "<img src=x onerror=alert(1)>"
VOTERS = 12
Look = Callable[..., Page]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    """Two policies that are compared and lack their files, a loose one, and a title that would be a script."""
    with live_bridge(tmp_path_factory.mktemp("data"), beats=False) as bridge:
        put = bridge.services.published.shelf.put
        put(Item(kind=ROBOT, owner="lab", slug="pony", title="Pony", description="Four legs."))
        put(Item(kind=SCENE, owner="lab", slug="park", title="Park"))
        put(Item(kind=ROBOT, owner="lab", slug="spare", title="Spare"))
        run = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "lab/park", "controlSpec": {"version": 1}}
        for slug, title in (("trot", "Trot"), ("deep/walk", HOSTILE)):
            put(Item(kind=POLICY, owner="lab", slug=slug, title=title, facts=run))
        put(Item(kind=POLICY, owner="lab", slug="loose", title="Loose", status="draft"))
        put(Item(kind=CHECKPOINT, owner="lab", slug="act", title="ACT", facts={"policy_type": "act"}))
        yield bridge


@pytest.fixture
def look(bridge: LiveBridge, browser: "Browser") -> Iterator[Look]:
    """Open a path in a context of its own; scripts that fail, and styles that the headers refuse, fail the test."""
    errors: list[str] = []
    contexts = []

    def open_page(path: str, *, root: str = bridge.url, scheme: str = "dark", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, "color_scheme": scheme, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(root + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # What several tests provoke.
    assert [text for text in errors if "Failed to load resource" not in text] == []


def fits(page: Page) -> bool:
    """Nothing sticks out at the side."""
    wide: int = page.evaluate("document.documentElement.scrollWidth")
    return wide <= page.evaluate("innerWidth")


# The arena


def test_with_nothing_to_compare_the_arena_says_so(tmp_path: Path, look: Look) -> None:
    with live_bridge(tmp_path, beats=False) as empty:
        page = look("/arena", root=empty.url)
        page.click("#launch")
        expect(page.locator("#problem")).to_contain_text("nothing to compare yet")
        expect(page.locator("#launch")).to_be_enabled()
        page.goto(f"{empty.url}/leaderboard")
        expect(page.locator("#empty")).to_be_visible()
        expect(page.locator("#ratings")).to_be_hidden()
        page.goto(f"{empty.url}/nobody")
        expect(page.locator("#count")).to_have_text("nobody has published nothing here.")


def test_whoever_is_too_fast_is_told_how_long_to_wait(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena")

    def refuse(route: Route) -> None:
        body = json.dumps({"error": "Slow down: more than 60 per 1 minute."})
        route.fulfill(status=429, headers={"Retry-After": "2"}, content_type="application/json", body=body)

    page.route("**/api/arena/launch", refuse)
    page.click("#launch")
    expect(page.locator("#problem")).to_contain_text("Slow down")
    expect(page.locator("#launch")).to_have_text("Wait 2 s")
    expect(page.locator("#launch")).to_be_disabled()
    page.unroute("**/api/arena/launch")
    expect(page.locator("#launch")).to_be_enabled()
    page.click("#launch")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("iframe")).to_have_count(2)


def test_a_server_that_is_gone_is_no_riddle(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena")
    page.route("**/api/arena/launch", lambda route: route.abort())
    page.click("#launch")
    expect(page.locator("#problem")).to_contain_text("The server cannot be reached.")


def test_what_cannot_run_is_not_voted_on_and_gives_no_name_away(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena")
    page.click("#launch")
    expect(page.locator("#left-state")).to_have_text("failed")
    expect(page.locator("#sentence")).to_contain_text("cannot run here")
    for winner in ("left", "right", "both_good", "both_bad"):
        expect(page.locator(f"#vote-{winner}")).to_be_disabled()
    assert "lab/" not in page.content() and "Trot" not in page.content()
    # Only the pane itself can say that it runs.
    page.evaluate("postMessage({type: 'runrobot:ready', version: 1}, location.origin)")
    page.evaluate("new Promise((told) => setTimeout(told, 50))")
    expect(page.locator("#left-state")).to_have_text("failed")
    first = page.url.partition("#")[2]
    page.click("#next")
    expect(page).to_have_url(re.compile(rf"#(?!{first})matchup_"))


def test_a_matchup_that_is_gone_is_told_and_forgotten(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena#matchup_none")
    expect(page.locator("#problem")).to_contain_text("matchup_none")
    assert "#" not in page.url
    expect(page.locator("#launch")).to_be_visible()


# As in Firefox, which does not tell a page who frames it; the bridge withholds the referrer.
HIDES_ITS_FRAME = "Object.defineProperty(DOMStringList.prototype, 'length', {get: () => 0});"


def test_a_pane_that_does_not_know_who_frames_it_tells_its_failure(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena")
    page.add_init_script(HIDES_ITS_FRAME)
    page.reload()
    page.click("#launch")
    for side in ("left", "right"):
        expect(page.locator(f"#{side}-state")).to_have_text("failed")


RUNS = "<script>parent.postMessage({type: 'runrobot:ready', version: 1}, location.origin)</script>"


@pytest.mark.parametrize("modifier", ["Control", "Meta", "Alt"])
def test_a_key_let_go_beside_a_modifier_is_let_go(bridge: LiveBridge, look: Look, modifier: str) -> None:
    page = look("/arena")
    page.route("**/arena/run/*/*", lambda route: route.fulfill(content_type="text/html", body=RUNS))
    page.click("#launch")
    expect(page.locator("#left-state")).to_have_text("running")
    forward = page.locator("#pad [data-key=forward]")
    page.keyboard.down("w")
    expect(forward).to_have_attribute("data-pressed", "")
    page.keyboard.down(modifier)
    if modifier != "Alt":
        # macOS never tells of a key let go beside Command.
        expect(forward).not_to_have_attribute("data-pressed", "")
    page.keyboard.up("w")
    expect(forward).not_to_have_attribute("data-pressed", "")


def physical(**changes: Any) -> Matchup:
    """A trial on the arm whose policies are a checkpoint and a folder."""
    one = Side("catalog:lab/act", "ACT", "sim_one", "0" * 64, "rec-one")
    two = Side("/models/demo", "Demo", "sim_two", "0" * 64, "rec-two")
    made = Matchup("matchup_physical", one, two, "arm", "", "0" * 64, "", time.time(), kind=PHYSICAL)
    return replace(made, **changes)


def log_in(page: Page, bridge: LiveBridge) -> None:
    """As olga."""
    body = {"username": "olga", "password": PASSWORD}
    token = page.request.post(f"{bridge.url}/auth/login", data=body).json()["access_token"]
    page.evaluate(
        "(token) => { sessionStorage['arena-login'] = JSON.stringify({token, name: 'olga', endsAtMs: 9e15}); }",
        token,
    )
    page.reload()


def test_a_vote_whose_answer_was_lost_has_been_cast(tmp_path: Path, look: Look) -> None:
    with live_bridge(tmp_path, beats=False) as bridge:
        bridge.services.accounts.users.create("olga", PASSWORD)
        bridge.services.published.votes.save(physical(state=READY, unlock_at=time.time() - 1))
        page = look("/arena#matchup_physical", root=bridge.url)
        log_in(page, bridge)
        taken: list[int] = []

        def lose(route: Route) -> None:
            taken.append(route.fetch().status)
            route.abort()

        page.route("**/api/arena/vote", lose)
        page.click("#vote-left")
        expect(page.locator("#sentence")).to_have_text("You have voted on this pair.")
        assert taken == [200]
        expect(page.locator("#left-title")).to_have_text("ACT")
        expect(page.locator("#problem")).to_be_hidden()
        # One that did not come in is told as before.
        bridge.services.published.votes.save(
            physical(id="matchup_two", state=READY, unlock_at=time.time() - 1)
        )
        page.unroute("**/api/arena/vote")
        page.route("**/api/arena/vote", lambda route: route.abort())
        page.goto(f"{bridge.url}/arena#matchup_two")
        page.click("#vote-left")
        expect(page.locator("#problem")).to_contain_text("The server cannot be reached.")
        expect(page.locator("#vote-left")).to_be_enabled()


def test_a_trial_on_the_robot_is_followed_voted_on_by_its_operators_and_revealed(
    tmp_path: Path, look: Look
) -> None:
    with live_bridge(tmp_path, beats=False) as bridge:
        votes, users = bridge.services.published.votes, bridge.services.accounts.users
        users.create("olga", PASSWORD)
        votes.save(physical())
        page = look("/arena#matchup_physical", root=bridge.url)
        expect(page.locator("#left-place")).to_have_text("This side runs on the robot.")
        expect(page.locator("#sentence")).to_contain_text("opens when both have run")
        expect(page.locator("#vote-left")).to_be_disabled()
        votes.save(physical(state=READY, unlock_at=time.time() - 1))
        expect(page.locator("#vote-left")).to_be_enabled()
        expect(page.locator("iframe")).to_have_count(0)
        expect(page.locator("#reset")).to_be_disabled()
        page.click("#vote-left")
        expect(page.locator("#problem")).to_contain_text("log in")
        assert not any(word in page.content() for word in ("Demo", "lab/act", "rec-one"))
        log_in(page, bridge)
        page.click("#vote-left")
        expect(page.locator("#left-title")).to_have_text("ACT")
        expect(page.locator("#left-place")).to_contain_text("recorded as rec-one")
        expect(page.locator("#right-ref")).to_have_text("/models/demo")
        expect(page.locator(".pane a")).to_have_count(0)
        # It is in the table once nobody else can vote on it.
        votes.save(physical(state=READY, unlock_at=time.time() - OPEN_S[PHYSICAL]))
        bridge.services.published.leaderboard.refresh()
        # The table has it when nobody votes on it any more.
        votes.save(physical(state=READY, unlock_at=time.time() - OPEN_S[PHYSICAL]))
        bridge.services.published.leaderboard.refresh()
        page.click("nav >> text=Leaderboard")
        expect(page.locator("#rows tr").first).to_contain_text("catalog:lab/act")
        expect(page.locator("#rows a")).to_have_count(0)


def test_why_a_trial_failed_is_told(bridge: LiveBridge, look: Look) -> None:
    failed = physical(id="matchup_failed", state=FAILED, error="The arm was stopped.")
    bridge.services.published.votes.save(failed)
    page = look("/arena#matchup_failed")
    expect(page.locator("#sentence")).to_have_text("This matchup has failed. The arm was stopped.")
    expect(page.locator("#vote-left")).to_be_disabled()


def test_a_login_that_has_ended_keeps_nobody_out(bridge: LiveBridge, look: Look) -> None:
    page = look("/arena")
    page.evaluate(
        "sessionStorage['arena-login'] = JSON.stringify({token: 'x', name: 'anna', endsAtMs: Date.now() + 9e5})"
    )
    page.reload()
    page.click("#launch")
    expect(page.locator("iframe")).to_have_count(2)


# The leaderboard


@pytest.fixture(scope="module")
def voted(bridge: LiveBridge) -> LiveBridge:
    """Every voter preferred Trot."""
    published, now = bridge.services.published, time.time()
    for number in range(VOTERS):
        matchup = published.arena.launch()
        winner = "left" if matchup.left.policy == "lab/trot" else "right"
        published.votes.vote(matchup.id, f"voter{number}", "stranger", winner=winner, at=now, evidence="")
    published.leaderboard.refresh()
    return bridge


def test_the_leaderboard_shows_ratings_intervals_wins_and_the_winner(voted: LiveBridge, look: Look) -> None:
    page = look("/leaderboard")
    told = voted.services.published.leaderboard.table.standings.rows
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(2)
    best = told[0]
    assert best.low is not None and best.high is not None
    for text in ("Trot", "lab/trot", "winner", f"{best.rating:.0f}", f"{best.low:.0f} – {best.high:.0f}"):
        expect(rows.first).to_contain_text(text)
    expect(rows.first.locator("td")).to_have_text(
        ["1", f"{best.rating:.0f}", re.compile("–"), str(VOTERS), "0", "0", str(VOTERS)]
    )
    expect(rows.first.locator("a")).to_have_attribute("href", "/lab/trot")
    expect(rows.nth(1).locator("a")).to_have_attribute("href", "/lab/deep/walk")
    expect(rows.nth(1)).to_contain_text(HOSTILE)
    expect(page.locator("#outcome")).to_contain_text("Trot wins")
    expect(page.locator("#updated")).to_contain_text("Last counted vote")
    expect(page.locator("#plot .winner .interval")).to_have_count(3)
    expect(page.locator("#plot .dot")).to_have_count(2)
    assert f"Trot: {best.rating:.0f}" in (page.get_attribute("#plot", "aria-label") or "")
    expect(page.locator("#matrix tbody tr").first.locator("td").nth(1)).to_have_text(f"{VOTERS} of {VOTERS}")
    expect(page.locator("#matrix tbody tr").nth(1).locator("td").first).to_have_text(f"0 of {VOTERS}")


def test_the_votes_can_be_taken_home(voted: LiveBridge, look: Look) -> None:
    page = look("/leaderboard")
    with page.expect_download() as started:
        page.click("text=trials.jsonl >> nth=0")
    assert started.value.suggested_filename == "trials.jsonl"
    assert len(Path(started.value.path()).read_text().splitlines()) >= VOTERS
    expect(page.locator("code")).to_have_text("arena leaderboard compute trials.jsonl")


def test_the_plot_fits_its_window_and_follows_it(voted: LiveBridge, look: Look) -> None:
    page = look("/leaderboard")
    expect(page.locator("#plot svg")).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#plot svg")).to_have_attribute(
        "width", str(page.evaluate("document.getElementById('plot').clientWidth"))
    )
    assert fits(page)


# An owner


def test_an_owner_shows_what_is_published_and_what_can_run(bridge: LiveBridge, look: Look) -> None:
    page = look("/lab")
    expect(page).to_have_title("lab · lerobot arena")
    expect(page.locator("#policies-list li")).to_have_count(3)
    expect(page.locator("#robots-list li")).to_have_count(2)
    expect(page.locator("#scenes-list li")).to_have_count(1)
    policies = page.locator("#policies-list")
    expect(policies.get_by_text(HOSTILE)).to_have_attribute("href", "/lab/deep/walk")
    expect(policies.locator("li", has_text="Loose")).to_contain_text("Names no robot")
    expect(policies.locator("li", has_text="Loose")).to_contain_text("draft")
    expect(page.locator("#checkpoints-list li")).to_contain_text(
        "act · in a session: --policy catalog:lab/act"
    )
    robots = page.locator("#robots-list")
    expect(robots.get_by_role("link", name="Pony")).to_have_attribute("href", "/lab/pony")
    expect(robots.locator("li", has_text="Spare")).to_contain_text("No policy runs with it yet.")


def test_what_an_owner_has_is_searched_at_the_server_and_kept_in_the_address(
    bridge: LiveBridge, look: Look
) -> None:
    page = look("/lab")
    page.fill("#search", "legs")
    expect(page.locator("#count")).to_have_text("1 found.")
    expect(page.locator("#policies")).to_be_hidden()
    expect(page.locator("#robots-list")).to_contain_text("Four legs.")
    page.reload()
    expect(page.locator("#search")).to_have_value("legs")
    expect(page.locator("#count")).to_have_text("1 found.")
    page.fill("#search", "wings")
    expect(page.locator("#count")).to_have_text("Nothing of lab matches “wings”.")
    page.fill("#search", "")
    expect(page.locator("#policies-list li")).to_have_count(3)


@pytest.mark.parametrize("path", ["/arena", "/leaderboard", "/lab"])
def test_pages_lead_to_each_other_and_fit_a_phone(voted: LiveBridge, look: Look, path: str) -> None:
    page = look(path, viewport=PHONE, scheme="light")
    expect(page.locator("nav a")).to_have_text(["Arena", "Leaderboard", "Robot"])
    assert fits(page)
    page.click("nav >> text=Leaderboard")
    expect(page.locator("#rows tr")).to_have_count(2)
