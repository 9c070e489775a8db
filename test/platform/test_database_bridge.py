# SPDX-License-Identifier: Apache-2.0
"""The whole bridge on a PostgreSQL: what it does all day, and the day after."""

import asyncio
from pathlib import Path

import pytest

from lerobot_arena.testing.bridge_rig import open_rig
from lerobot_arena.testing.postgres import PostgresServer

PASSWORD = "a long enough sentence"

pytestmark = pytest.mark.postgresql


async def test_a_bridge_works_on_postgresql_and_finds_everything_again(
    postgres: PostgresServer, data_dir: Path
) -> None:
    url = postgres.url(postgres.create())
    async with open_rig(data_dir, database_url=url) as rig:
        users = rig.services.accounts.users
        await asyncio.to_thread(users.create, "anna", PASSWORD, role="admin")
        login = await rig.http.post("/auth/login", json={"username": "anna", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        token = (await rig.http.post("/api/api-tokens", json={"name": "x"}, headers=headers)).json()["token"]
        await rig.create("s")
        await rig.start("s")
        assert (await rig.http.post("/api/control/estop")).status_code == 200
        body = {"name": "extra", "nodes": [{"callback": "frozen_policy"}]}
        assert (await rig.http.post("/api/boundaries", json=body)).status_code < 300
        assert await asyncio.to_thread(rig.services.audit.flush)
        stopped = (await rig.http.get("/api/audit")).json()["entries"]
        assert "/api/control/estop" in [entry["path"] for entry in stopped]
    async with open_rig(data_dir, database_url=url) as rig:
        assert [session["session_id"] for session in (await rig.http.get("/sessions")).json()] == ["s"]
        assert (await rig.status("s"))["status"] == "stopped"
        assert (await rig.http.get("/api/boundaries/extra")).status_code == 200
        assert (await rig.http.get("/auth/me", headers={"X-API-Key": token})).json()["username"] == "anna"
        assert (await rig.http.get("/api/risk-log")).status_code == 200
        assert not (data_dir / "arena.db").exists()
