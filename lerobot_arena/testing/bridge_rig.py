# SPDX-License-Identifier: Apache-2.0
"""The real app over FakeArms: no ROS, no network, and a clock that stands still."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from lerobot_arena.bridge.app import create_app
from lerobot_arena.bridge.services import Services
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.clock import ManualClock
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_server import fake_services

BASE = "http://127.0.0.1:8001"
FAR = "10.0.0.9"
"""Another machine."""
PASSWORD = "correct horse battery"


@dataclass
class Rig:
    """One bridge and the robot side it talks to."""

    fake: FakeArms
    services: Services
    app: FastAPI
    http: httpx.AsyncClient
    clock: ManualClock

    @contextlib.asynccontextmanager
    async def caller(
        self, token: str = "", *, address: str = FAR, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody at `address`, with an API token or a login when one is given."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1234))
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(
            transport=transport, base_url=BASE, headers={**shown, **(headers or {})}
        ) as http:
            yield http

    async def user(self, name: str, *, scopes: Collection[str] | None = None, role: str = "user") -> str:
        """An API token of an account, which is made when there is none of that name."""
        return await asyncio.to_thread(self._token, name, scopes, role)

    def _token(self, name: str, scopes: Collection[str] | None, role: str) -> str:
        accounts = self.services.accounts
        if accounts.users.find(name) is None:
            asked = set(scopes) if scopes is not None else None
            accounts.users.create(name, PASSWORD, role=role, scopes=asked)
        user = accounts.users.get(name)
        _, secret = accounts.tokens.create(name, "test", user.scopes)
        return secret

    async def create(self, session_id: str = "s", **fields: Any) -> dict[str, Any]:
        body = {"session_id": session_id, "policy_path": "demo", "robot": "arm", **fields}
        answer = await self.http.post("/sessions", json={k: v for k, v in body.items() if v is not None})
        assert answer.status_code == 200, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def verb(self, verb: str, session_id: str = "s") -> httpx.Response:
        return await self.http.post(f"/sessions/{session_id}/{verb}")

    async def start(self, session_id: str = "s") -> None:
        answer = await self.verb("start", session_id)
        assert answer.status_code == 200, answer.text

    async def start_waiting(self, path: str = "/sessions/s/start") -> asyncio.Task[httpx.Response]:
        """A start that waits, for as long as it may, for the robot side to be ready."""
        starting = asyncio.create_task(self.http.post(path))
        # Whoever waits, waits for the board's next change.
        await until(lambda: self.services.board._changed._waiters)
        return starting

    async def status(self, session_id: str = "s") -> dict[str, Any]:
        answer = await self.http.get(f"/sessions/{session_id}")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        return status


def make_settings(data_dir: Path, **changes: Any) -> Settings:
    """Short waits; everything else as shipped."""
    short = {"start_timeout_s": 0.3, "verb_timeout_s": 0.3, "estop_timeout_s": 0.3}
    return Settings(
        **{
            "data_dir": data_dir,
            "bridge_port": 8001,
            "bridge_host": "127.0.0.1",
            "seed_catalog": False,
            **short,
            **changes,
        }
    )


@contextlib.asynccontextmanager
async def open_rig(data_dir: Path, fake: FakeArms | None = None, **changes: Any) -> AsyncIterator[Rig]:
    fake, clock = fake or FakeArms(), ManualClock()
    async with fake_services(fake, make_settings(data_dir, **changes), clock=clock) as services:
        app = create_app(services)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            yield Rig(fake, services, app, http, clock)


async def until(look: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Let the loop run until `look` is true."""
    async with asyncio.timeout(timeout_s):
        while not (found := look()):  # noqa: ASYNC110  polls whatever it is given
            await asyncio.sleep(0.005)  # the others get their turn
        return found
