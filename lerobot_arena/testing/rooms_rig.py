# SPDX-License-Identifier: Apache-2.0
"""The real server with real sockets over FakeArms, and a client of its rooms that knows nothing but the protocol."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.server import open_socket, serve
from lerobot_arena.bridge.services import Services
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services
from lerobot_arena.testing.bridge_rig import PASSWORD, make_settings

Message = dict[str, Any]


class RoomClient:
    """One participant, as the tables of the protocol have it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.greeting: list[Message] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def joints(self, **values: float) -> None:
        await self.say(
            "joint_update", data=[{"name": name, "value": value} for name, value in values.items()]
        )

    async def next(self, timeout_s: float = 5.0) -> Any:
        """The next message: an object, or a picture's bytes."""
        async with asyncio.timeout(timeout_s):
            said = await self.socket.recv()
        return json.loads(said, parse_constant=_refuse) if isinstance(said, str) else said

    async def until(self, kind: str, **fields: Any) -> Message:
        """The next message of a type with those fields; others are passed over."""
        while True:
            said = await self.next()
            if isinstance(said, dict) and said.items() >= {"type": kind, **fields}.items():
                return dict(said)

    async def refused(self) -> str:
        return str((await self.until("error"))["code"])

    async def closed(self, timeout_s: float = 5.0) -> tuple[int, list[Message]]:
        """The close code, and what came before it."""
        before: list[Message] = []
        try:
            while True:
                before.append(await self.next(timeout_s))
        except ConnectionClosed as error:
            return (error.rcvd.code if error.rcvd is not None else 1006), before

    async def is_silent(self, for_s: float = 0.15) -> bool:
        try:
            await self.next(for_s)
        except TimeoutError:
            return True
        return False


def _refuse(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


@dataclass
class RoomsRig:
    """`mount` is what stands before /robotics and /video."""

    fake: FakeArms
    services: Services
    http: httpx.AsyncClient
    host: str
    mount: str = ""

    def room(self, workspace: str, room: str, *, kind: str = "robotics") -> str:
        return f"{self.mount}/{kind}/workspaces/{workspace}/rooms/{room}"

    async def make(self, workspace: str, room: str, *, kind: str = "robotics", **fields: Any) -> None:
        path = f"{self.mount}/{kind}/workspaces/{workspace}/rooms"
        answer = await self.http.post(path, json={"room_id": room, **fields})
        assert answer.status_code == 200, answer.text

    async def user(self, name: str) -> str:
        """An API token of a new account."""

        def make() -> str:
            accounts = self.services.accounts
            accounts.users.create(name, PASSWORD)
            return accounts.tokens.create(name, "test", accounts.users.get(name).scopes)[1]

        return await asyncio.to_thread(make)

    @contextlib.asynccontextmanager
    async def socket(
        self, workspace: str, room: str, *, kind: str = "robotics", token: str = ""
    ) -> AsyncIterator[RoomClient]:
        url = f"ws://{self.host}{self.room(workspace, room, kind=kind)}/ws"
        async with connect(url, compression=None, max_size=None, additional_headers=bearer(token)) as socket:
            yield RoomClient(socket)

    @contextlib.asynccontextmanager
    async def join(
        self,
        workspace: str,
        room: str,
        name: str,
        role: str = "consumer",
        *,
        kind: str = "robotics",
        token: str = "",
        **more: Any,
    ) -> AsyncIterator[RoomClient]:
        """A participant that was greeted; `greeting` is what it got."""
        async with self.socket(workspace, room, kind=kind, token=token) as client:
            await client.socket.send(json.dumps({"participant_id": name, "role": role, **more}))
            while not client.greeting or client.greeting[-1]["type"] != "joined":
                client.greeting.append(await client.next())
            yield client


def bearer(token: str) -> dict[str, str]:
    """The header of an API token; of none, when it is empty."""
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextlib.asynccontextmanager
async def serve_rooms(
    data_dir: Path, fake: FakeArms | None = None, **changes: Any
) -> AsyncIterator[RoomsRig]:
    """On a free port, with the machine's own clock."""
    fake = fake or FakeArms()
    settings = make_settings(data_dir, **{"bridge_port": 0, **changes})
    ending = asyncio.Event()
    async with fake_services(fake, settings) as services:
        listener = open_socket(settings)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(serve(create_app(services), listener, ending))
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}", timeout=20) as http:
                yield RoomsRig(fake, services, http, host)
        finally:
            ending.set()
            await serving
