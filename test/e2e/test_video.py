# SPDX-License-Identifier: Apache-2.0
"""Video by WebRTC through the whole stack: Chromium's camera into a session, a ROS camera into Chromium."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import websockets
from websockets.sync.client import connect

from lerobot_arena.testing.media_rig import OldConsumer, OldProducer, plain

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.browser]

CLIENT = Path(__file__).parents[2] / "docs" / "examples" / "video_client.js"
MEDIA = "lerobot_arena.rooms.node"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def page(stack: Any) -> "Iterator[Page]":
    """A page of the bridge's own origin, with the client that docs/ shows."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip("no Chromium: `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(30_000)
        # A real page: Chromium lets one that was made up by a test reach no loopback address.
        page.goto(f"http://127.0.0.1:{stack.port}/ui/")
        page.evaluate("document.body.innerHTML = '<video id=screen autoplay muted></video>'")
        page.evaluate(CLIENT.read_text() + "; window.VideoRoom = VideoRoom; window.rooms = {};")
        yield page
        browser.close()


def enter(page: "Page", name: str, **options: str) -> dict[str, Any]:
    """Join a room in the page; the server's `joined`."""
    joined: dict[str, Any] = page.evaluate(
        """([name, options]) => {
             const room = rooms[name] = new VideoRoom(location.origin, options);
             room.onStream = (stream) => { document.getElementById("screen").srcObject = stream; };
             return room.join();
           }""",
        [name, options],
    )
    return joined


def session_of(stack: Any, session_id: str, **more: Any) -> dict[str, Any]:
    """Create a session that holds still; its status."""
    policy = stack.policies / f"{session_id}.json"
    policy.write_text(POLICY)
    body = {
        "session_id": session_id,
        "policy_path": f"replay:{policy.name}",
        "camera_names": ["front"],
        **more,
    }
    answer = stack.rest.post("/sessions", json=body)
    assert answer.status_code == 200, answer.text
    created: dict[str, Any] = answer.json()
    return created


POLICY = (
    '{"joint_names": ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"],'
    ' "unit": "normalized", "fps": 30, "chunk_size": 50, "n_action_steps": 50,'
    ' "cameras": {"front": {"height": 480, "width": 640}}}'
)


def first_jpeg(stack: Any, *, workspace: str, room: str) -> bytes:
    """What a simple client sees first."""
    path = f"/video/workspaces/{workspace}/rooms/{room}/ws"
    with connect(f"ws://127.0.0.1:{stack.port}{path}") as socket:
        socket.send(json.dumps({"participant_id": "simple", "role": "consumer", "media": "jpeg"}))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            message = socket.recv(timeout=10)
            if isinstance(message, bytes):
                return message
    raise AssertionError("no picture came by JPEG")


def received(stack: Any, session_id: str) -> int:
    stats = stack.status(session_id)["stats"]["images_received"]
    return int(sum(stats.values()) if isinstance(stats, dict) else stats)


def test_a_browsers_camera_reaches_a_session_and_comes_back_after_the_media_process_was_killed(
    stack: Any, page: "Page"
) -> None:
    created = session_of(stack, "remote")
    rooms = {"workspace": created["workspace_id"], "room": created["camera_room_ids"]["front"]}
    enter(page, "camera", **rooms, role="producer", id="browser")
    page.evaluate(
        """async () => rooms.camera.publish(
             await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } }))"""
    )
    stack.wait_for("the browser's pictures in the session", lambda: received(stack, "remote") > 20, 30)
    assert page.evaluate("rooms.camera.stats()")["state"] == ["connected"]
    assert b"\xff\xd8" in first_jpeg(stack, **rooms), "who speaks no WebRTC watches too"

    stack.kill(MEDIA)
    asked = time.monotonic()
    answer = stack.rest.post("/api/control/estop")
    assert answer.status_code == 200 and time.monotonic() - asked < 5.0, answer.text
    before = received(stack, "remote")
    stack.wait_for("the pictures again", lambda: received(stack, "remote") > before + 20, 40)
    page.evaluate("rooms.camera.leave()")


def test_a_browser_watches_a_ros_camera(stack: Any, page: "Page", artifacts: Path) -> None:
    created = session_of(stack, "local", robot="arm")
    rooms = {"workspace": created["workspace_id"], "room": created["camera_room_ids"]["front"]}
    enter(page, "watch", **rooms, role="consumer", id="watcher")
    stack.wait_for("pictures in the browser", lambda: decoded(page) > 20, 30)
    assert page.evaluate("rooms.watch.stats()")["size"] == [640, 480]
    offer = page.evaluate("rooms.watch.heard.find((message) => message.type === 'webrtc_offer')")
    assert offer["from_producer"] == "arena"
    shot = artifacts / "watched_camera.png"
    page.locator("#screen").screenshot(path=shot)
    assert contrast_of(shot) > 10, "the simulator's scene, not one colour"
    page.evaluate("rooms.watch.leave()")


class RoomOverRest:
    """Members of one room as the clients of media_rig want them: signals out by REST, events in by WebSocket."""

    def __init__(self, address: str, path: str) -> None:
        self._address, self._path = address, path
        self._rest = httpx.AsyncClient(base_url=f"http://{address}", timeout=20.0)
        self._sockets: dict[str, Any] = {}
        self._posting: set[asyncio.Task[httpx.Response]] = set()
        self._heard: dict[str, list[dict[str, Any]]] = {}

    async def create(self) -> None:
        rooms, _, room_id = self._path.rpartition("/")
        assert (await self._rest.post(rooms, json={"room_id": room_id})).status_code == 200

    async def join(self, participant: str, role: str) -> None:
        socket = await websockets.connect(f"ws://{self._address}{self._path}/ws")
        await socket.send(json.dumps({"participant_id": participant, "role": role}))
        self._sockets[participant], self._heard[participant] = socket, []
        await self._next(participant, "joined", {}, 20.0)

    def send(self, kind: str, participant: str, **message: Any) -> None:
        body = {"client_id": participant, "message": {"type": kind, **message}}
        self._posting.add(asyncio.ensure_future(self._rest.post(f"{self._path}/webrtc/signal", json=body)))

    async def heard(
        self, kind: str, participant: str, timeout_s: float = 20.0, **fields: Any
    ) -> dict[str, Any]:
        return await self._next(participant, f"webrtc_{kind}", fields, timeout_s)

    async def _next(
        self, participant: str, kind: str, fields: dict[str, Any], timeout_s: float
    ) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            while True:
                message: dict[str, Any] = json.loads(await self._sockets[participant].recv())
                self._heard[participant].append(message)
                if message["type"] == kind and fields.items() <= message.items():
                    return message

    async def close(self) -> None:
        for answer in await asyncio.gather(*self._posting):
            assert answer.status_code == 200, answer.text
        for socket in self._sockets.values():
            await socket.close()
        await self._rest.aclose()


async def python_to_python(address: str) -> None:
    room = RoomOverRest(address, "/api/video/workspaces/python/rooms/cam")
    await room.create()
    await room.join("robot", "producer")
    await room.join("person", "consumer")
    robot = OldProducer(room, "robot", lambda _: plain((30, 200, 30)))  # type: ignore[arg-type]
    person = OldConsumer(room, "person")  # type: ignore[arg-type]
    await robot.offer("person")
    await person.accept()
    assert person.from_producer == "robot", "the server speaks in the producer's name"
    picture = await person.sees((30, 200, 30), timeout_s=20)
    assert picture.shape == (480, 640, 3)
    await robot.close()
    await person.close()
    await room.close()


def test_python_clients_that_offer_before_they_gather_see_each_other(stack: Any) -> None:
    """As the original's Python clients, which never connected to each other there."""
    # Away from the loop that playwright keeps in this thread.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, python_to_python(f"127.0.0.1:{stack.port}")).result(timeout=90)


def decoded(page: "Page") -> int:
    return int(page.evaluate("rooms.watch.stats()").get("framesDecoded") or 0)


def contrast_of(path: Path) -> float:
    import cv2

    picture = cv2.imread(str(path))
    assert picture is not None
    return float(np.std(picture))


@pytest.fixture(scope="module")
def artifacts() -> Path:
    folder = Path(__file__).parents[2] / "artifacts" / "web"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
