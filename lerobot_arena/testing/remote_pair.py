# SPDX-License-Identifier: Apache-2.0
"""A session whose rooms are on another arena: two real bridges on real ports, each over a robot side in memory."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from lerobot_arena.client import Arena
from lerobot_arena.core import topics
from lerobot_arena.core.room import GUARD_SOURCE, RoomJoints
from lerobot_arena.rooms.member import Member
from lerobot_arena.rooms.refusals import Close
from lerobot_arena.rooms.room import Place, Room
from lerobot_arena.testing.live_bridge import LiveBridge, live_bridge
from lerobot_arena.testing.stalling_proxy import StallingProxy

WORKSPACE, SESSION, ARM = "w", "far", "virtual/far"
INPUT, OUTPUT = topics.joint_input_room(SESSION), topics.joint_output_room(SESSION)
CAMERA = topics.camera_room(SESSION, "front")


def jpeg(grey: int = 90) -> bytes:
    """A small picture."""
    import cv2

    done, data = cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))
    assert done
    return bytes(data)


def until(look: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
    """What `look` found at last."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)  # how often it looks; other processes cannot call back
    return found


@dataclass
class Pair:
    """`home` has the rooms, `brain` has the session; `client` is a robot at home. Between them is `proxy`, if any."""

    home: LiveBridge
    brain: LiveBridge
    client: Arena
    proxy: StallingProxy | None = None

    @property
    def url(self) -> str:
        """Where the brain finds the rooms."""
        return self.proxy.url if self.proxy is not None else self.home.url

    def create(self, **fields: Any) -> httpx.Response:
        """Ask for the session."""
        body = {
            "session_id": SESSION, "policy_path": "demo", "camera_names": ["front"], "workspace_id": WORKSPACE,
            "arena_server_url": self.url, **fields,
        }  # fmt: skip
        return httpx.post(f"{self.brain.url}/sessions", json=body)

    def join(self, **fields: Any) -> None:
        """Make the session, and wait until its rooms are joined."""
        answer = self.create(**fields)
        assert answer.status_code == 200, answer.text
        until(lambda: self.remote()["is_connected"], "the rooms to be joined")

    def remote(self) -> dict[str, Any]:
        """What the session says of its rooms."""
        status: dict[str, Any] = httpx.get(f"{self.brain.url}/sessions/{SESSION}").json()["rooms"]["remote"]
        return status

    def detail(self, room: str) -> str:
        """Of one room."""
        return str(self.remote()["rooms"][room]["detail"])

    def published(self, room: str = INPUT) -> list[RoomJoints]:
        """Joints that reached the session's side."""
        return list(self.brain.fake.rooms.joints[topics.room(WORKSPACE, room)])

    def pictures(self) -> list[tuple[bytes, int]]:
        """Pictures that reached it."""
        return list(self.brain.fake.rooms.pictures[topics.room(WORKSPACE, CAMERA)])

    def execute(self, value: float) -> None:
        """The guard over there executed a command."""
        said = RoomJoints(("shoulder_pan",), (value,), "normalized", source=GUARD_SOURCE)
        self.brain.on_loop(lambda: self.brain.fake.rooms.say(topics.room(WORKSPACE, OUTPUT), said))

    def room(self, bridge: LiveBridge, room_id: str) -> Room:
        """One of its rooms, as it is."""
        return bridge.services.rooms.hub.get(
            Place("video" if room_id == CAMERA else "robotics", WORKSPACE, room_id)
        )

    def is_latched(self, bridge: LiveBridge, room_id: str) -> bool:
        """Whether that room is."""
        return bridge.on_loop(lambda: self.room(bridge, room_id).estop_latched)

    def ours(self, room_id: str) -> Member | None:
        """The brain's place in a room at home."""
        members = list(self.room(self.home, room_id).members.values())
        return next((member for member in members if member.participant_id.startswith(room_id)), None)

    def cut(self, room_id: str, then: Callable[[Room], object] = lambda room: None) -> Member:
        """The brain's socket in a room at home is closed, and something happens before it can come back; who left."""

        def do() -> Member:
            member = self.ours(room_id)
            assert member is not None
            member.mailbox.close(Close.ENDING, "cut", at_once=True)
            then(self.room(self.home, room_id))
            return member

        return self.home.on_loop(do)

    def cut_and_back(self, room_id: str) -> None:
        """The same, until it has come back."""
        left = self.cut(room_id)
        until(lambda: self.ours(room_id) not in {None, left}, "it to come back")
        until(lambda: self.remote()["rooms"][room_id]["is_connected"], "the room to be joined again")


@contextlib.contextmanager
def remote_pair(folder: Path, *, has_proxy: bool = False) -> Iterator[Pair]:
    """Both bridges until the block ends; `proxy` lives on home's loop."""
    with live_bridge(folder / "home", beats=False) as home:
        proxy = StallingProxy(home.url) if has_proxy else None
        if proxy is not None:
            home.run(proxy.__aenter__())
        url = proxy.url if proxy is not None else home.url
        with live_bridge(folder / "brain", remote_arenas=(url,)) as brain, Arena(home.url) as client:
            yield Pair(home, brain, client, proxy)
        if proxy is not None:
            home.run(proxy.__aexit__())
