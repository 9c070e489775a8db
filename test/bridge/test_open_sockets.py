# SPDX-License-Identifier: Apache-2.0
"""A WebSocket ends with the login, token or scope it was opened with, and no other one does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as websocket

from lerobot_arena.bridge import open_sockets
from lerobot_arena.bridge.server import open_socket, serve
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.principal import ROOMS_JOIN
from lerobot_arena.platform.accounts.api_tokens import ApiTokens
from lerobot_arena.platform.accounts.logins import LOGIN_S
from lerobot_arena.platform.accounts.users import Users
from lerobot_arena.platform.storage.database import connect
from lerobot_arena.testing.bridge_rig import PASSWORD, Rig, open_rig, until
from lerobot_arena.testing.bridge_socket import SWITCHING, HeldSocket, ask_socket, hold_socket

ENDED = (1008, "access ended")
ROOM = "/robotics/workspaces/lab/rooms"


@dataclass
class House:
    """Olga's two tokens and two logins and Otto's token, and what each of them is connected with."""

    rig: Rig
    credentials: dict[str, str]
    sockets: dict[str, HeldSocket]
    stack: contextlib.AsyncExitStack

    async def ask(self, name: str, method: str, path: str) -> Any:
        async with self.rig.caller(self.credentials[name]) as http:
            answer = await http.request(method, path)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    async def open(self, name: str, path: str, **how: str) -> HeldSocket:
        made = await self.stack.enter_async_context(hold_socket(self.rig.app, path, **how))
        self.sockets[name] = made
        return made

    def ended(self) -> set[str]:
        return {name for name, socket in self.sockets.items() if socket.closed is not None}

    async def token_id(self, name: str) -> str:
        listed = await asyncio.to_thread(self.rig.services.accounts.tokens.active, "olga")
        return next(token.id for token in listed if self.credentials[name].startswith(token.prefix))

    async def elsewhere(self, change: Callable[[Users, ApiTokens], Any]) -> None:
        """A change by another process, such as `arena users`."""
        engine = connect(self.rig.services.settings.database)
        kept = [engine, self.rig.clock, lambda _: None]
        await asyncio.to_thread(lambda: change(Users(*kept), ApiTokens(*kept)))
        engine.dispose()


@pytest.fixture
async def house(rig: Rig) -> AsyncIterator[House]:
    credentials = {
        "token": await rig.user("olga"),
        "token 2": await rig.user("olga"),
        "otto": await rig.user("otto"),
    }
    for name in ("login", "login 2"):
        body = {"username": "olga", "password": PASSWORD}
        credentials[name] = (await rig.http.post("/auth/login", json=body)).json()["access_token"]
    async with contextlib.AsyncExitStack() as stack:
        house = House(rig, credentials, {}, stack)
        for name, credential in credentials.items():
            await house.open(name, "/ws/telemetry", token=credential, query="arm=arm")
        ticket = (await house.ask("login", "POST", "/auth/ticket"))["ticket"]
        await house.open("ticket of login", "/ws/telemetry", query=f"arm=arm&ticket={ticket}")
        await house.open("at the machine", "/ws/telemetry", query="arm=arm", address="127.0.0.1")
        yield house


async def revoke(house: House) -> None:
    await house.ask("login", "DELETE", f"/api/api-tokens/{await house.token_id('token')}")


async def revoke_elsewhere(house: House) -> None:
    token_id = await house.token_id("token")
    await house.elsewhere(lambda _, tokens: tokens.revoke("olga", token_id))


async def log_out(house: House) -> None:
    await house.ask("login", "POST", "/auth/logout")


async def disable_elsewhere(house: House) -> None:
    await house.elsewhere(lambda users, _: users.change("olga", is_disabled=True))


async def change_password(house: House) -> None:
    users = house.rig.services.accounts.users
    await asyncio.to_thread(lambda: users.change("olga", password="another long sentence"))


async def narrow(house: House) -> None:
    users = house.rig.services.accounts.users
    await asyncio.to_thread(lambda: users.change("olga", scopes={ROOMS_JOIN}))


async def wait_an_hour(house: House) -> None:
    house.rig.clock.advance(LOGIN_S)


async def check_every(house: House, period_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, but for changes in this process."""
    sockets, checks = house.rig.services.sockets, 0
    look_up = sockets._scopes_now

    def counting(callers: Any) -> Any:
        nonlocal checks
        checks += 1
        return look_up(callers)

    monkeypatch.setattr(open_sockets, "EVERY_S", period_s)
    monkeypatch.setattr(sockets, "_scopes_now", counting)
    sockets.check_soon()
    await until(lambda: checks)


LOGINS = {"login", "login 2", "ticket of login"}
HERE = [(revoke, {"token"}), (log_out, {"login", "ticket of login"}), (change_password, LOGINS),
        (narrow, LOGINS | {"token", "token 2"})]  # fmt: skip
ELSEWHERE = [(revoke_elsewhere, {"token"}), (disable_elsewhere, LOGINS | {"token", "token 2"}),
             (wait_an_hour, LOGINS)]  # fmt: skip


def name_of(value: Any) -> str | None:
    return value.__name__ if callable(value) else ""


@pytest.mark.parametrize(("end", "expected"), HERE, ids=name_of)
async def test_what_ends_here_is_felt_at_once(
    house: House, end: Callable[[House], Awaitable[None]], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_every(house, 3600.0, monkeypatch)
    await end(house)
    await until(lambda: house.ended() >= expected)
    assert house.ended() == expected
    assert {house.sockets[name].closed for name in expected} == {ENDED}


@pytest.mark.parametrize(("end", "expected"), ELSEWHERE, ids=name_of)
async def test_what_ends_elsewhere_or_by_the_clock_is_felt_soon(
    house: House, end: Callable[[House], Awaitable[None]], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_every(house, 0.02, monkeypatch)
    await end(house)
    await until(lambda: house.ended() >= expected)
    assert house.ended() == expected
    assert {house.sockets[name].closed for name in expected} == {ENDED}


async def test_nobody_is_cut_off_because_the_database_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, sockets = 0, house.rig.services.sockets
    look_up = sockets._scopes_now

    def away(callers: Any) -> Any:
        nonlocal asked
        asked += 1
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(open_sockets, "EVERY_S", 0.02)
    monkeypatch.setattr(sockets, "_scopes_now", away)
    sockets.check_soon()
    await until(lambda: asked > 2)
    assert house.ended() == set()
    monkeypatch.setattr(sockets, "_scopes_now", look_up)
    await log_out(house)
    await until(lambda: house.ended() == {"login", "ticket of login"})


async def test_a_client_of_a_room_is_heard_until_its_access_ends_and_then_leaves_the_room(
    house: House,
) -> None:
    await house.ask("token", "GET", "/auth/me")
    async with house.rig.caller(house.credentials["token"]) as http:
        made = await http.post(ROOM, json={"room_id": "kitchen"})
        assert made.status_code == 200, made.text
    socket = await house.open("room", f"{ROOM}/kitchen/ws", token=house.credentials["token"])
    socket.say(json.dumps({"participant_id": "p", "role": "producer"}))
    socket.say(json.dumps({"type": "heartbeat"}))
    await until(lambda: any("heartbeat_ack" in message.get("text", "") for message in socket.sent))
    house.rig.services.sockets.check_soon()
    socket.say(json.dumps({"type": "emergency_stop", "reason": "test"}))
    await until(lambda: any("emergency_stop" in message.get("text", "") for message in socket.sent))
    await revoke(house)
    await until(lambda: socket.closed is not None)
    assert socket.closed == ENDED
    found = (await house.ask("otto", "GET", f"{ROOM}/kitchen")).get("room", {})
    assert found.get("participants", {}).get("producer") is None, found


async def test_the_check_ends_with_the_last_socket_and_begins_with_the_next(house: House) -> None:
    sockets = house.rig.services.sockets
    for socket in house.sockets.values():
        socket.leave()
    await until(lambda: not sockets._open and sockets._checking is None)
    again = await house.open("again", "/ws/telemetry", token=house.credentials["token"], query="arm=arm")
    await revoke(house)
    await until(lambda: again.closed == ENDED)


async def test_there_are_only_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_sockets, "MOST", len(house.credentials) + 1)
    refused = await ask_socket(
        house.rig.app, "/ws/telemetry", token=house.credentials["otto"], query="arm=arm"
    )
    assert refused.status_code == 503
    house.sockets["token"].leave()
    await until(lambda: len(house.rig.services.sockets._open) == len(house.credentials))
    accepted = await ask_socket(
        house.rig.app, "/ws/telemetry", token=house.credentials["otto"], query="arm=arm"
    )
    assert accepted.status_code == SWITCHING


async def test_the_client_is_told_over_a_real_connection(data_dir: Path) -> None:
    async with open_rig(data_dir, bridge_port=0) as rig:
        token, listener, ending = await rig.user("olga"), open_socket(rig.services.settings), asyncio.Event()
        listener.listen()
        serving = asyncio.create_task(serve(rig.app, listener, ending))
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/telemetry?arm=arm"
        headers = {"Authorization": f"Bearer {token}"}
        async with websocket(url, additional_headers=headers, proxy=None) as client:
            await until(lambda: rig.services.sockets._open)
            await asyncio.to_thread(rig.services.accounts.tokens.revoke_all, "olga")
            await asyncio.wait_for(client.wait_closed(), 20)
            assert (client.close_code, client.close_reason) == ENDED
        await until(lambda: rig.services.feed.watcher_count == 0)
        ending.set()
        await serving
