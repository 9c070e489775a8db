# SPDX-License-Identifier: Apache-2.0
"""The run page in the system's Chromium, under the strictest headers: a rover that really drives."""

import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lerobot_arena.testing.catalog_files import Member, glb_bytes, triangle_document, zip_bytes
from lerobot_arena.testing.run_page_rig import HOST_FILES, rover_run, rover_server, swift_chromium
from lerobot_arena.testing.run_page_rover import ENTRY_XML, rover_control
from lerobot_arena.testing.run_page_server import RunPageServer, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=45_000)

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NO_WEBGL = """
const open = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith('webgl') ? null : open.call(this, kind, ...rest);
};
"""
# As in Firefox; the property itself cannot be taken away. The referrer is the bridge's to withhold.
HIDES_ITS_FRAME = """
Object.defineProperty(DOMStringList.prototype, 'length', {get: () => 0});
Object.defineProperty(Document.prototype, 'referrer', {get: () => ''});
"""


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    with swift_chromium() as browser:
        if browser is None:
            pytest.skip("no Chromium: `apt-get install chromium`")
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[RunPageServer]:
    with serving(rover_server()) as server:
        yield server


@pytest.fixture
def look(chromium: "Browser") -> "Iterator[Callable[..., Page]]":
    """Open an address in a context of its own; what the page complains about fails the test at its end."""
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, *, script: str = "", scheme: str = "dark", **options: Any) -> "Page":
        context = chromium.new_context(**{"viewport": DESKTOP, "color_scheme": scheme} | options)
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(45_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Chromium reports what some tests provoke, and SwiftShader that reading its picture is slow.
    known = ("Failed to load resource", "GPU stall due to ReadPixels")
    assert [text for text in complaints if not any(phrase in text for phrase in known)] == []


def _number(page: "Page", name: str) -> float:
    """The first number of a fact below the picture."""
    return float(page.inner_text(f"#{name}").split()[0].replace("−", "-").replace("–", "nan"))


def _until(what: Callable[[], bool], timeout_s: float = 45.0) -> None:
    # Not wait_for_function: it evaluates text, which this page's headers forbid.
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)  # how often it looks; the page is another process


def _wait_until_running(page: "Page") -> None:
    expect(page.locator("#status")).to_have_text("running")
    _until(lambda: _number(page, "time") > 0.1)


def _heard(page: "Page", kind: str, count: int = 1) -> list[dict[str, Any]]:
    """What the framed page has said of a kind, once it is `count` messages."""
    heard: list[dict[str, Any]] = []

    def listen() -> bool:
        heard[:] = page.evaluate(
            "(type) => heard.filter((message) => message.type === type)", f"runrobot:{kind}"
        )
        return len(heard) >= count

    _until(listen)
    return heard


def _control(page: "Page", action: str, seq: int) -> None:
    message = {"type": "runrobot:control", "version": 1, "matchupId": "m", "simulationId": "s"}
    page.evaluate("(message) => say(message)", message | {"action": action, "seq": seq})


# What it does


def test_a_framing_page_drives_and_resets_it_in_real_time(server: RunPageServer, look: Any) -> None:
    address = server.add_run("driven", rover_run(robot__bundleUrl="/driven.zip"))
    page = look(f"{server.url}/host.html#{address}")
    ready = _heard(page, "ready")[0]
    assert ready["timings"]["totalMs"] > 0 and ready["from"] == server.url
    _heard(page, "state")
    _control(page, "forward-press", 7)
    assert [message["seq"] for message in _heard(page, "ack")] == [7]
    # Of two seconds each: a window in which the machine had other things to do is no verdict on the page.
    _until(lambda: _heard(page, "state")[-1]["rtf"] >= 0.9 and _heard(page, "state")[-1]["t"] > 3)
    told = _heard(page, "state")
    assert told[-1]["base_pos"][0] > told[0]["base_pos"][0] + 0.5
    assert told[-1]["fell"] is False
    ahead = [
        1000 * (later["t"] - sooner["t"]) / (later["at"] - sooner["at"]) for sooner, later in pairwise(told)
    ]
    assert max(ahead) < 1.5, "it never runs ahead of time"
    _control(page, "forward-release", 8)
    _control(page, "reset", 9)
    assert [message["seq"] for message in _heard(page, "ack", 3)] == [7, 8, 9]
    _until(lambda: (last := _heard(page, "state")[-1])["t"] < 3 and last["distance"] < 0.2)


def test_keys_drive_and_r_resets(server: RunPageServer, look: Any) -> None:
    page = look(server.add_run("keys", rover_run()), script=NO_WEBGL)
    _wait_until_running(page)
    start = _number(page, "position")
    page.keyboard.down("w")
    expect(page.locator("[data-key=forward]")).to_have_attribute("data-pressed", "")
    _until(lambda: _number(page, "position") > start + 0.4)
    # A page that is left has nothing held.
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(page.locator("[data-key=forward]")).not_to_have_attribute("data-pressed", "")
    page.keyboard.press("r")
    _until(lambda: _number(page, "distance") < 0.2)
    page.keyboard.down("ArrowDown")
    _until(lambda: _number(page, "position") < -0.2)


@pytest.mark.parametrize("modifier", ["Control", "Meta", "Alt"])
def test_a_key_let_go_beside_a_modifier_is_let_go(server: RunPageServer, look: Any, modifier: str) -> None:
    page = look(server.add_run("modified", rover_run()), script=NO_WEBGL)
    _wait_until_running(page)
    forward = page.locator("[data-key=forward]")
    page.keyboard.down("w")
    expect(forward).to_have_attribute("data-pressed", "")
    page.keyboard.down(modifier)
    if modifier != "Alt":
        # macOS never tells of a key let go beside Command.
        expect(forward).not_to_have_attribute("data-pressed", "")
    page.keyboard.up("w")
    expect(forward).not_to_have_attribute("data-pressed", "")


def test_a_thumb_drives_on_a_phone(server: RunPageServer, look: Any) -> None:
    page = look(
        server.add_run("phone", rover_run()), script=NO_WEBGL, viewport=PHONE, has_touch=True, is_mobile=True
    )
    _wait_until_running(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.locator("[data-key=forward]").bounding_box()["width"] >= 44
    page.dispatch_event("[data-key=forward]", "pointerdown", {"pointerId": 1})
    _until(lambda: _number(page, "distance") > 0.3)
    page.dispatch_event("[data-key=forward]", "pointerup", {"pointerId": 1})
    expect(page.locator("[data-key=forward]")).not_to_have_attribute("data-pressed", "")
    page.tap("#reset")
    _until(lambda: _number(page, "distance") < 0.2)


def test_a_page_that_draws_nothing_simulates_all_the_same(server: RunPageServer, look: Any) -> None:
    page = look(server.add_run("hidden", rover_run()), script="window.requestAnimationFrame = () => 0;")
    _wait_until_running(page)
    before, since = _number(page, "time"), time.monotonic()
    time.sleep(2)  # the stretch over which the simulation must advance
    # Not one of the page's frames was needed; how near to real time is the framed page's test.
    assert _number(page, "time") - before > 0.5 * (time.monotonic() - since)


def test_a_fall_is_told_until_the_reset(server: RunPageServer, look: Any) -> None:
    # It is dropped from five metres, for a second of not having fallen, and rests lower than this.
    spec = rover_control() | {"fell": {"min_height": 0.071, "max_tilt_deg": None}}
    spec["initial"]["base_pos"] = [0.0, 0.0, 5.0]
    page = look(server.add_run("fall", rover_run(policy__controlSpec=spec)), script=NO_WEBGL)
    expect(page.locator("#status")).to_have_text("fell")
    expect(page.locator("#fell")).to_have_text("yes")
    page.keyboard.press("r")
    expect(page.locator("#fell")).to_have_text("no")


# Who may control it


def test_only_the_framing_page_of_an_allowed_origin_is_obeyed(server: RunPageServer, look: Any) -> None:
    with serving(RunPageServer(HOST_FILES)) as elsewhere:
        allowed = f"frame-ancestors 'self' {elsewhere.url}"
        with serving(RunPageServer(server.files)) as open_server:
            open_server.policy = server.policy.replace("frame-ancestors 'self'", allowed)
            elsewhere.policy = elsewhere.policy.replace("frame-src 'self'", f"frame-src {open_server.url}")
            for name, origins in (("strangers", None), ("friends", [elsewhere.url])):
                address = open_server.add_run(
                    name, rover_run(**({"controlOrigins": origins} if origins else {}))
                )
                page = look(f"{elsewhere.url}/host.html#{address}", script=NO_WEBGL)
                expect(page.frame_locator("iframe").locator("#status")).to_have_text("running")
                _control(page, "forward-press", 1)
                if origins:
                    assert _heard(page, "ack")[0]["seq"] == 1
                    continue
                frame = page.frames[1]
                frame.evaluate(
                    "window.postMessage({type: 'runrobot:control', version: 1, action: 'reset', seq: 2}, '*')"
                )
                time.sleep(1.5)  # nothing may be heard: only a wait shows that
                assert page.evaluate("heard") == []
                assert frame.locator("[data-pressed]").count() == 0


def test_control_that_makes_no_sense_is_answered(server: RunPageServer, look: Any) -> None:
    page = look(f"{server.url}/host.html#{server.add_run('nonsense', rover_run())}", script=NO_WEBGL)
    _heard(page, "ready")
    _control(page, "fly", 3)
    assert _heard(page, "error")[0]["seq"] == 3
    _control(page, "left-press", 4)
    _control(page, "left-press", 5)
    assert [message["seq"] for message in _heard(page, "ack", 2)] == [4, 5]


def test_a_page_that_spoke_late_is_told_how_the_run_is(server: RunPageServer, look: Any) -> None:
    page = look(f"{server.url}/host.html#{server.add_run('late', rover_run())}", script=HIDES_ITS_FRAME)
    expect(page.frame_locator("iframe").locator("#status")).to_have_text("running")
    assert page.evaluate("heard") == []
    page.evaluate("say({type: 'runrobot:hello', version: 1})")
    assert _heard(page, "ready")[0]["timings"]["totalMs"] > 0


def test_a_bare_page_tells_nothing_but_what_the_robot_does(server: RunPageServer, look: Any) -> None:
    held: list[Any] = []
    address = server.add_run("bare", rover_run())
    page = look("about:blank", script=NO_WEBGL)
    page.route("**/policy.onnx", lambda route: held.append(route))
    page.goto(f"{address}#bare")
    bar = page.locator("#loading progress")
    expect(bar).to_have_count(1)
    _until(lambda: float(bar.get_attribute("value") or 0) > 0.9 and bool(held))
    assert not re.search(r"\d", page.text_content("#loading"))
    held[0].continue_()
    _wait_until_running(page)
    expect(page.locator(".tick")).to_be_hidden()
    text = page.text_content("body")
    assert "kB" not in text and "MB" not in text and not re.search(r"\d ms", text)


# What goes wrong


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in rover_control().items() if name != key}


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "no such policy": (
        {"policy__modelUrl": "/none.onnx"},
        "/none.onnx cannot be fetched: the server says 404.",
    ),
    "key missing": ({"policy__controlSpec": _without("stiffness")}, "controlSpec: stiffness is missing."),
    "script as link": ({"policy__modelUrl": "javascript:alert(1)"}, "modelUrl must be an http address."),
    "wrong width": (
        {"policy__modelUrl": "/wide.onnx"},
        "The policy takes 39 numbers, and its observations add up to 36.",
    ),
    "no network": ({"policy__modelUrl": "/steps.xml"}, "onnxruntime cannot load the policy"),
    "no zip": ({"robot__bundleUrl": "/policy.onnx"}, "The robot's bundle is no zip that can be read"),
    "outside": ({"robot__bundleUrl": "/outside.zip"}, "has a file outside its folder: ../evil.xml."),
    "no entry": ({"robot__entryXmlPath": "other.xml"}, "The robot's bundle has no other.xml."),
    "bad robot": ({"robot__bundleUrl": "/bad.zip"}, "MuJoCo cannot compile the robot: XML Error"),
    "another robot": (
        {"robot__bundleUrl": "/other.zip"},
        "drives a joint front_left, and the robot has none",
    ),
    "unstable": ({"robot__bundleUrl": "/unstable.zip"}, "The simulation broke down after 0.0"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_is_wrong_is_one_sentence_on_the_page(server: RunPageServer, look: Any, case: str) -> None:
    other = b'<mujoco><worldbody><body><freejoint/><geom size="1"/></body></worldbody></mujoco>'
    server.files |= {
        "/outside.zip": zip_bytes(Member("../evil.xml", b"x")),
        "/bad.zip": zip_bytes(Member(ENTRY_XML, b"<mujoco><wheel/></mujoco>")),
        "/other.zip": zip_bytes(Member(ENTRY_XML, other)),
    }
    changes, sentence = FAILURES[case]
    page = look(server.add_run("broken", rover_run(**changes)), script=NO_WEBGL)
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#problem-text")).to_contain_text(sentence)
    expect(page.locator("#status")).to_have_text("failed")
    expect(page.locator("#loading")).to_be_hidden()


def test_a_run_that_is_not_there_or_elsewhere_is_refused(server: RunPageServer, look: Any) -> None:
    page = look(f"{server.url}/nobody/nothing/")
    expect(page.locator("#problem-text")).to_have_text("There is no such run.")
    page = look(f"{server.url}/nobody/?run=https://example.org/run.json")
    expect(page.locator("#problem-text")).to_have_text("The run of another site is not opened here.")
    server.add_run("named", rover_run())
    page = look(f"{server.url}/nobody/?run=/named/run.json")
    _wait_until_running(page)


@pytest.mark.parametrize(("feature", "name"), [("WebAssembly", "WebAssembly"), ("Worker", "Web Workers")])
def test_a_browser_that_lacks_something_is_told_what(
    server: RunPageServer, look: Any, feature: str, name: str
) -> None:
    page = look(server.add_run("lacking", rover_run()), script=f"delete window.{feature};")
    expect(page.locator("#problem-text")).to_contain_text(f"This browser has no {name}")


def test_an_older_browser_has_all_that_is_needed(server: RunPageServer, look: Any) -> None:
    script = NO_WEBGL + "delete URL.canParse; delete URL.parse;"
    page = look(f"{server.url}/host.html#{server.add_run('older', rover_run())}", script=script)
    expect(page.frame_locator("iframe").locator("#status")).to_have_text("running")


def test_a_picture_that_fails_is_not_blamed_on_the_browser(server: RunPageServer, look: Any) -> None:
    page = look("about:blank")
    page.route("**/picture.js", lambda route: route.abort())
    page.goto(server.add_run("undrawn", rover_run()))
    _wait_until_running(page)
    expect(page.locator("#blind")).to_contain_text("No picture: Failed to fetch")


def test_without_webgl_the_robot_runs_unseen(server: RunPageServer, look: Any) -> None:
    page = look(server.add_run("blind", rover_run()), script=NO_WEBGL)
    _wait_until_running(page)
    expect(page.locator("#blind")).to_contain_text("this browser has no WebGL")
    page.keyboard.down("w")
    _until(lambda: _number(page, "distance") > 0.3)


# How it looks


def test_a_scene_has_physics_and_a_look_of_its_own(server: RunPageServer, look: Any) -> None:
    triangle, corners = triangle_document()
    linked = triangle | {"buffers": [{"byteLength": 44, "uri": "https://example.org/corners.bin"}]}
    server.files |= {"/look.glb": glb_bytes(triangle, corners), "/linked.glb": glb_bytes(linked)}
    scene = {
        "transform": {"position": [0, 3, 0], "quaternion": [0, 0, 0, 1], "scale": [1, 1, 1]},
        "benchmark": {"ref": "arena/steps", "xmlUrl": "/steps.xml"},
    }
    page = look(server.add_run("scene", rover_run(scene=scene | {"glbUrl": "/look.glb"})))
    _wait_until_running(page)
    expect(page.locator("#view")).to_have_attribute("data-scene", "dressed")
    # The wall of the benchmark stops the rover: it is physics.
    page.keyboard.down("s")
    _until(lambda: _number(page, "position") < -0.5)
    time.sleep(1.5)  # a rover not stopped by the wall would pass it in this time
    assert _number(page, "position") > -0.8
    page = look(server.add_run("linked", rover_run(scene=scene | {"glbUrl": "/linked.glb"})))
    expect(page.locator("#blind")).to_contain_text("The scene's look is missing")
    expect(page.locator("#status")).to_have_text("running")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "scheme"), [("desktop", "dark"), ("desktop", "light"), ("phone", "light")]
)
def test_screenshots(server: RunPageServer, look: Any, artifacts: Path, device: str, scheme: str) -> None:
    options: dict[str, Any] = {"viewport": PHONE, "has_touch": True} if device == "phone" else {}
    scene = {"glbUrl": None, "benchmark": {"ref": "arena/steps", "xmlUrl": "/steps.xml"}}
    page = look(server.add_run("picture", rover_run(scene=scene)), scheme=scheme, **options)
    _wait_until_running(page)
    expect(page.locator("#view")).to_have_attribute("data-drawn", "")
    picture = artifacts / f"run_{device}_{scheme}.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000
