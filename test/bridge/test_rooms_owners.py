# SPDX-License-Identifier: Apache-2.0
"""Whose a room is when others want its name, its e-stop, or all the places to wait in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from lerobot_arena.bridge import rooms_server
from lerobot_arena.core.errors import TooMany
from lerobot_arena.core.principal import LOCAL, Principal
from lerobot_arena.rooms.hub import INACTIVITY_S
from lerobot_arena.rooms.refusals import Close
from lerobot_arena.rooms.room import Place
from lerobot_arena.testing.bridge_rig import Rig, until
from lerobot_arena.testing.rooms_rig import RoomsRig, bearer, serve_rooms

PATH = "/robotics/workspaces/w/rooms"
SESSION = {"session_id": "s", "policy_path": "demo", "workspace_id": "w"}
COMMAND = {"joints": [{"name": "a", "value": 1}]}


@pytest.fixture
async def rooms(data_dir: Path) -> AsyncIterator[RoomsRig]:
    async with serve_rooms(data_dir) as made:
        (made.services.settings.roots[0] / "demo").mkdir(parents=True, exist_ok=True)
        yield made


def stored(rig: RoomsRig) -> list[str]:
    return [record.place.room_id for record in rig.services.rooms._store.load()]


async def test_a_room_that_gave_way_to_a_session_can_be_made_again(rooms: RoomsRig) -> None:
    await rooms.make("w", "s-joint-input")
    async with rooms.join("w", "s-joint-input", "c") as consumer:
        assert (await rooms.http.post("/sessions", json=SESSION)).status_code == 200
        code, (*_, last) = await consumer.closed()
        assert (code, last["reason"]) == (Close.ROOM_CLOSED, "its name is a session's now")
    await until(lambda: not stored(rooms))
    assert (await rooms.http.delete("/sessions/s")).status_code == 200
    for _ in range(2):
        await rooms.make("w", "s-joint-input")
    assert stored(rooms) == ["s-joint-input"]


@pytest.mark.parametrize("kind", ["robotics", "video"])
async def test_a_session_does_not_end_another_account_s_room(rooms: RoomsRig, kind: str) -> None:
    olga, otto = await rooms.user("olga"), await rooms.user("otto")
    body = {"room_id": "s-joint-input"}
    made = await rooms.http.post(f"/{kind}/workspaces/w/rooms", json=body, headers=bearer(olga))
    assert made.status_code == 200
    async with rooms.join("w", "s-joint-input", "c", kind=kind, token=olga) as consumer:
        refused = await rooms.http.post("/sessions", json=SESSION, headers=bearer(otto))
        assert (refused.status_code, refused.json().get("code")) == (409, "room_exists"), refused.text
        await consumer.say("heartbeat")
        await consumer.until("heartbeat_ack")
        assert (await rooms.http.get("/sessions", headers=bearer(otto))).json() == []
        assert (await rooms.http.post("/sessions", json=SESSION, headers=bearer(olga))).status_code == 200
        assert (await consumer.closed())[0] == Close.ROOM_CLOSED, "one's own gives way"


async def test_what_is_deleted_and_made_while_another_is_written_is_stored_as_it_is(rooms: RoomsRig) -> None:
    await rooms.make("w", "r")
    server = rooms.services.rooms
    await server._writing.acquire()
    deleting = asyncio.create_task(rooms.http.delete(f"{PATH}/r"))
    await until(lambda: len(server.hub) == 0)
    making = asyncio.create_task(rooms.http.post(PATH, json={"room_id": "r", "max_consumers": 3}))
    await until(lambda: len(server.hub) == 1)
    server._writing.release()
    assert [(await answer).status_code for answer in (deleting, making)] == [200, 200]
    (record,) = server._store.load()
    assert (record.place.room_id, record.max_consumers) == ("r", 3)


async def test_who_knows_a_client_s_room_uses_it_and_its_owner_alone_releases_it(rig: Rig) -> None:
    """What docs/access.md says beside its matrix, which is of a session's rooms."""
    olga, otto, anna = await rig.user("olga"), await rig.user("otto"), await rig.user("anna", role="admin")
    async with rig.caller(olga) as hers, rig.caller(otto) as his, rig.caller(anna) as admin:
        assert (await hers.post(PATH, json={"room_id": "r"})).status_code == 200
        for answer in (
            await his.get(f"{PATH}/r"),
            await his.get(f"{PATH}/r/state"),
            await his.post(f"{PATH}/r/command", json=COMMAND),
        ):
            assert answer.status_code == 200
        room = rig.services.rooms.hub.get(Place("robotics", "w", "r"))
        for allowed in (hers, admin, rig.http):
            room.emergency_stop("c", "hand")
            refused = await his.post(f"{PATH}/r/emergency_stop/reset")
            assert (refused.status_code, refused.json()["detail"]) == (404, "Room not found")
            assert (await his.post(f"{PATH}/r/command", json=COMMAND)).json()["code"] == "estop_latched"
            assert (await allowed.post(f"{PATH}/r/emergency_stop/reset")).status_code == 200
            assert not room.estop_latched
        assert (await his.delete(f"{PATH}/r")).status_code == 404


async def test_no_sweep_ends_a_room_that_is_stopped(rig: Rig) -> None:
    for name in ("stopped", "idle"):
        assert (await rig.http.post(PATH, json={"room_id": name})).status_code == 200
    server = rig.services.rooms
    server.hub.get(Place("robotics", "w", "stopped")).emergency_stop("c", "hand")
    rig.clock.advance(INACTIVITY_S + 1)
    assert await server.clean("robotics") == 1
    assert [room.place.room_id for room in server.hub] == ["stopped"]


@pytest.mark.parametrize("kind", ["robotics", "video"])
async def test_a_stop_of_somebody_who_is_being_let_go_is_obeyed_and_nothing_else(
    rooms: RoomsRig, kind: str
) -> None:
    await rooms.make("w", "r", kind=kind)
    room = rooms.services.rooms.hub.get(Place(kind, "w", "r"))
    async with (
        rooms.join("w", "r", "other", kind=kind) as other,
        rooms.join("w", "r", "p", "producer", kind=kind) as slow,
    ):
        slow.socket.transport.pause_reading()
        box = room.members["p"].mailbox
        while (
            box.waiting < 20
        ):  # until neither the kernel nor the server holds more for it: the goodbye waits too
            box.put_event("x" * 16_000)
            await asyncio.sleep(0)  # the writer's turn
        box.close(Close.TOO_SLOW, "too slow", at_once=True)
        await slow.joints(a=1.0)
        await slow.socket.send(b"no picture")
        await slow.say("emergency_stop", reason="hand")
        stopped = await other.until("emergency_stop")
        assert (stopped["source"], stopped["reason"]) == ("p", "hand")
        slow.socket.transport.resume_reading()
        assert room.estop_latched
        assert getattr(room, "seq", 0) == 0, "values of who is let go count no more"


async def test_one_account_cannot_take_every_place_to_wait_in(rooms: RoomsRig) -> None:
    bob = await rooms.user("bob")
    await rooms.make("w", "r")
    async with AsyncExitStack() as waiting:
        for _ in range(rooms_server._MOST_WAITING_OF_ONE):
            await waiting.enter_async_context(rooms.socket("w", "r", token=bob))
        # The server takes a place only when its own side of the socket is there.
        await until(lambda: rooms.services.rooms._waiting["bob"] == rooms_server._MOST_WAITING_OF_ONE)
        async with rooms.socket("w", "r", token=bob) as one_more:
            code, (error,) = await one_more.closed()
            assert (code, error["code"]) == (Close.TOO_MANY, "too_many_participants")
        async with rooms.join("w", "r", "robot", "producer"):
            pass
    await until(lambda: not rooms.services.rooms._waiting)
    async with rooms.socket("w", "r", token=bob) as bobs:
        await bobs.socket.send(json.dumps({"participant_id": "b", "role": "consumer"}))
        await bobs.until("joined")


async def test_all_accounts_together_have_so_many_places(rooms: RoomsRig) -> None:
    server = rooms.services.rooms
    with ExitStack() as waiting:
        for number in range(rooms_server._MOST_WAITING):
            waiting.enter_context(server.waiting_room(Principal(f"user{number}", via="token")))
        with pytest.raises(TooMany), server.waiting_room(LOCAL):
            pass
