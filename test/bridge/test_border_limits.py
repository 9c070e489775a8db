# SPDX-License-Identifier: Apache-2.0
"""How often one may ask, and what of it is written down."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lerobot_arena.testing.bridge_rig import FAR, PASSWORD, Rig, open_rig
from lerobot_arena.testing.bridge_socket import ask_socket

TIGHT = {
    "rate_limit_address": "8/minute",
    "rate_limit_identity": "4/minute",
    "rate_limit_failures": "3/minute",
}

ROOMS = "/robotics/workspaces/lab/rooms"
SESSION = {"session_id": "s", "policy_path": "demo", "robot": "arm"}


async def test_an_account_may_ask_so_often_from_wherever(data_dir: Path) -> None:
    async with open_rig(data_dir, **{**TIGHT, "rate_limit_address": ""}) as rig:
        token = await rig.user("olga")
        for number in range(4):
            async with rig.caller(token, address=f"10.0.0.{number}") as http:
                assert (await http.get("/sessions")).status_code == 200
        async with rig.caller(token, address="10.0.0.77") as http:
            refused = await http.get("/sessions")
            assert refused.status_code == 429 and refused.json()["code"] == "too_many"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (await http.get("/auth/me")).json()["error"] == "too_many"
            # The e-stop is never too often.
            for _ in range(10):
                assert (await http.post("/api/control/estop")).status_code == 200
        async with rig.caller(await rig.user("otto")) as http:
            assert (await http.get("/sessions")).status_code == 200


async def test_an_address_may_ask_so_often_and_this_machine_as_often_as_it_likes(data_dir: Path) -> None:
    async with open_rig(data_dir, **TIGHT) as rig:
        async with rig.caller() as http:
            statuses = [(await http.get("/health")).status_code for _ in range(10)]
        assert statuses == [200] * 8 + [429] * 2
        async with rig.caller(address="10.0.0.10") as http:
            assert (await http.get("/health")).status_code == 200
        # All of an IPv6 network is one.
        for number in range(8):
            async with rig.caller(address=f"2001:db8::{number + 1}") as http:
                assert (await http.get("/health")).status_code == 200
        async with rig.caller(address="2001:db8::ffff:1") as http:
            assert (await http.get("/health")).status_code == 429
        for _ in range(20):
            assert (await rig.http.get("/health")).status_code == 200


async def test_wrong_credentials_are_counted_apart(data_dir: Path) -> None:
    async with open_rig(data_dir, **{**TIGHT, "rate_limit_address": ""}) as rig:
        async with rig.caller("rr_live_guess") as http:
            statuses = [(await http.get("/sessions")).status_code for _ in range(5)]
            assert statuses == [401, 401, 401, 429, 429]
            assert (await http.post("/api/control/estop")).status_code == 401
        async with rig.caller("rr_live_guess", address="10.0.0.10") as http:
            assert (await http.get("/sessions")).status_code == 401


async def test_whatever_a_neighbour_guesses_locks_out_nobody_who_is_known(data_dir: Path) -> None:
    async with open_rig(data_dir, **TIGHT) as rig:
        async with rig.caller("rr_live_guess") as guesser:
            for _ in range(10):
                last = await guesser.get("/sessions")
            assert last.status_code == 429
        operator = await rig.user("olga")
        login = await rig.http.post("/auth/login", json={"username": "olga", "password": PASSWORD})
        async with rig.caller(operator, address="10.0.0.10") as olga:
            assert (await olga.get("/sessions")).status_code == 200
        rig.clock.advance(60.0)
        for credential in (operator, login.json()["access_token"]):
            async with rig.caller(credential) as olga:
                assert (await olga.get("/sessions")).status_code == 200
        async with rig.caller(operator) as olga:
            for _ in range(4):
                last = await olga.get("/sessions")
            assert last.status_code == 429, "an account is counted wherever it calls from"
            for brake in ("/api/control/stop", "/api/control/pause", "/sessions/none/stop"):
                assert (await olga.post(brake)).status_code != 429, brake
        # Whom nobody has seen yet shares the limits of the address.
        async with rig.caller(await rig.user("otto")) as otto:
            assert (await otto.post("/api/control/stop")).status_code == 429


async def test_behind_a_proxy_it_is_the_address_that_the_proxy_saw(data_dir: Path) -> None:
    async with open_rig(data_dir, behind_proxy=True, **TIGHT) as rig:
        async with rig.caller(address="127.0.0.1", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}) as http:
            statuses = [(await http.get("/health")).status_code for _ in range(9)]
            assert statuses == [200] * 8 + [429]
        # What the client itself wrote in front changes nothing.
        async with rig.caller(address="127.0.0.1", headers={"X-Forwarded-For": "7.7.7.7, 10.0.0.1"}) as http:
            assert (await http.get("/health")).status_code == 429
        async with rig.caller(address="127.0.0.1", headers={"X-Forwarded-For": "10.0.0.2"}) as http:
            assert (await http.get("/health")).status_code == 200


async def written(rig: Rig) -> list[tuple[Any, ...]]:
    """The audit log, oldest first."""
    rig.services.audit.flush()
    entries = (await rig.http.get("/api/audit")).json()["entries"]
    names = ("who", "via", "method", "route", "status")
    return [tuple(entry[name] for name in names) for entry in reversed(entries)]


async def test_what_changes_something_is_written_down_with_who_and_what_came_of_it(rig: Rig) -> None:
    token = await rig.user("olga", scopes=["sessions:read"])
    await rig.create()
    async with rig.caller(token) as olga:
        await olga.get("/sessions")
        await olga.post("/sessions/s/start")
        await olga.post("/api/control/estop")
    async with rig.caller() as nobody:
        await nobody.post("/sessions/s/start")
    await ask_socket(rig.app, "/ws/telemetry", token=token, query="arm=arm")
    await rig.http.delete("/sessions/unknown")
    assert await written(rig) == [
        ("local", "local", "POST", "/sessions", 200),
        ("olga", "token", "POST", "/sessions/{session_id}/start", 403),
        ("olga", "token", "POST", "/api/control/estop", 200),
        ("olga", "token", "WS", "/ws/telemetry", 101),
        ("local", "local", "DELETE", "/sessions/{session_id}", 404),
    ]
    entry = (await rig.http.get("/api/audit")).json()["entries"][0]
    assert entry["path"] == "/sessions/unknown" and entry["address"] == "127.0.0.1"


async def test_a_log_that_fails_harms_no_call(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_crossing: object) -> None:
        raise RuntimeError("the audit log is broken")

    monkeypatch.setattr(rig.services.audit, "note", full)
    assert (await rig.http.post("/api/control/estop")).status_code == 200
    assert "missing in the audit log" in caplog.text


async def test_a_voters_address_is_stored_nowhere(rig: Rig) -> None:
    async with rig.caller() as voter:
        for path in ("launch", "control", "vote"):
            await voter.post(f"/api/arena/{path}", json={"matchupId": "x", "winner": "left"})
        await voter.post("/sessions/s/start")
    await written(rig)
    entries = await asyncio.to_thread(rig.services.audit.newest, 10)
    kept = {entry.route: entry for entry in entries if entry.who == "anonymous"}
    assert {path for path in kept if path.startswith("/api/arena/")} >= {
        "/api/arena/vote",
        "/api/arena/launch",
    }
    for path, entry in kept.items():
        assert (FAR in str(entry)) == (not path.startswith("/api/arena/")), entry


async def test_a_call_that_fails_or_is_cancelled_is_written_down_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    begun = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(rig.services.maker, "create", broken)
    assert (await rig.http.post("/sessions", json=SESSION)).status_code == 500
    monkeypatch.setattr(rig.services.maker, "create", hang)
    asking = asyncio.create_task(rig.http.post("/sessions", json=SESSION))
    await asyncio.wait_for(begun.wait(), 10)
    asking.cancel()
    await asyncio.wait({asking})
    assert await written(rig) == [("local", "local", "POST", "/sessions", 500)] * 2


async def test_what_is_called_many_times_a_second_is_written_down_once_a_minute(rig: Rig) -> None:
    await rig.http.post(ROOMS, json={"room_id": "kitchen"})
    await rig.http.post(ROOMS, json={"room_id": "hall"})
    command = {"joints": [{"name": "elbow", "value": 0.0}]}
    async with rig.caller(await rig.user("olga")) as olga:
        for wait_s in (0.0, 59.0, 1.5):
            rig.clock.advance(wait_s)
            for room in ("kitchen", "hall", "kitchen"):
                for http in (rig.http, olga):
                    await http.post(f"{ROOMS}/{room}/command", json=command)
    await written(rig)
    entries = await asyncio.to_thread(rig.services.audit.newest, 100)
    found = sorted((entry.who, entry.path) for entry in entries if entry.path.endswith("/command"))
    once = [(who, f"{ROOMS}/{room}/command") for who in ("local", "olga") for room in ("hall", "kitchen")]
    assert found == sorted(once * 2)
