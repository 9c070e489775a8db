# SPDX-License-Identifier: Apache-2.0
"""A session and its virtual arm are their owner's; the physical arm is everybody's."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from lerobot_arena.core.session import STOPPED
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until
from lerobot_arena.testing.bridge_socket import SWITCHING, ask_socket

OLGA_S, OTTO_S, OLGA_V = "olga-drives", "otto-drives", "olga-far"


@dataclass
class House:
    """A robot, two users, an admin and the person at the machine."""

    rig: Rig
    olga: httpx.AsyncClient
    otto: httpx.AsyncClient
    anna: httpx.AsyncClient
    otto_token: str

    @property
    def local(self) -> httpx.AsyncClient:
        return self.rig.http


@pytest.fixture
async def house(data_dir: Any) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(open_rig(data_dir, FakeArms()))
        tokens = {
            "olga": await rig.user("olga"),
            "otto": await rig.user("otto"),
            "anna": await rig.user("anna", role="admin"),
        }
        clients = {name: await stack.enter_async_context(rig.caller(token)) for name, token in tokens.items()}
        for name, body in (
            ("olga", {"session_id": OLGA_S, "robot": "arm"}),
            ("otto", {"session_id": OTTO_S, "robot": "arm"}),
            ("olga", {"session_id": OLGA_V, "joint_names": ["a"], "unit": "degrees", "workspace_id": "w"}),
        ):
            made = await clients[name].post("/sessions", json={"policy_path": "demo", **body})
            assert made.status_code == 200, made.text
        yield House(rig, **clients, otto_token=tokens["otto"])


async def ids(http: httpx.AsyncClient) -> set[str]:
    answer = await http.get("/sessions")
    assert answer.status_code == 200, answer.text
    return {session["session_id"] for session in answer.json()}


async def test_lists_hold_ones_own(house: House) -> None:
    assert await ids(house.olga) == {OLGA_S, OLGA_V}
    assert await ids(house.otto) == {OTTO_S}
    assert await ids(house.anna) == await ids(house.local) == {OLGA_S, OTTO_S, OLGA_V}
    owners = {item["session_id"]: item["owner"] for item in (await house.local.get("/sessions")).json()}
    assert owners == {OLGA_S: "olga", OLGA_V: "olga", OTTO_S: "otto"}
    async with house.rig.caller() as nobody:
        health = (await nobody.get("/health")).json()
        assert health["session_ids"] == [] and health["status"] == "healthy"
    assert (await house.otto.get("/health")).json()["session_ids"] == [OTTO_S]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sessions/{}"),
        ("DELETE", "/sessions/{}"),
        ("POST", "/sessions/{}/start"),
        ("POST", "/sessions/{}/restart"),
        ("POST", "/debug/sessions/{}/reset"),
        ("GET", "/debug/sessions/{}/queue"),
    ],
)
async def test_somebody_elses_is_exactly_like_none(house: House, method: str, path: str) -> None:
    there = await house.otto.request(method, path.format(OLGA_S))
    absent = await house.otto.request(method, path.format("never-made"))
    assert there.status_code == absent.status_code == 404
    assert there.json()["detail"].replace(OLGA_S, "never-made") == absent.json()["detail"]
    assert await ids(house.olga) == {OLGA_S, OLGA_V}


async def test_an_admin_and_the_person_at_the_robot_may_do_all(house: House) -> None:
    assert (await house.anna.post(f"/sessions/{OLGA_S}/start")).status_code == 200
    assert (await house.local.post(f"/sessions/{OLGA_S}/stop")).status_code == 200
    assert (await house.local.delete(f"/sessions/{OTTO_S}")).status_code == 200


async def test_everybody_with_the_scope_stops_and_pauses_everything(house: House) -> None:
    assert (await house.olga.post(f"/sessions/{OLGA_S}/start")).status_code == 200
    assert (await house.otto.post("/api/control/pause?arm=arm")).status_code == 200
    # Paused by anybody, resumed only by whoever may start it.
    refused = await house.otto.post("/api/control/resume?arm=arm")
    assert refused.status_code == 403 and OLGA_S not in refused.text
    assert (await house.olga.post("/api/control/resume?arm=arm")).status_code == 200
    assert (await house.otto.post(f"/sessions/{OLGA_S}/stop")).status_code == 200


async def test_a_runtime_start_never_means_somebody_elses_session(house: House) -> None:
    assert (await house.olga.post(f"/sessions/{OLGA_S}/start")).status_code == 200
    assert (await house.olga.post(f"/sessions/{OLGA_S}/stop")).status_code == 200
    # Olga's was selected last; Otto has one, so that is the one he means.
    started = await house.otto.post("/api/control/start?arm=arm")
    assert started.status_code == 200 and started.json()["session_id"] == OTTO_S
    assert (await house.otto.post("/api/control/stop?arm=arm")).status_code == 200
    assert (await house.otto.delete(f"/sessions/{OTTO_S}")).status_code == 200
    refused = await house.otto.post("/api/control/start?arm=arm")
    assert refused.status_code == 403 and OLGA_S not in refused.text
    assert house.rig.fake.guards["arm"].state == STOPPED


async def test_the_shared_arm_does_not_name_somebody_elses_session(house: House) -> None:
    assert (await house.olga.post(f"/sessions/{OLGA_S}/start")).status_code == 200
    for path in ("/api/arms", "/api/control/status?arm=arm"):
        assert OLGA_S not in (await house.otto.get(path)).text, path
        assert OLGA_S in (await house.olga.get(path)).text, path
        assert OLGA_S in (await house.anna.get(path)).text, path
    busy = await house.otto.post(f"/sessions/{OTTO_S}/start")
    assert busy.status_code == 409 and OLGA_S not in busy.text
    known = await house.local.post(f"/sessions/{OTTO_S}/start")
    assert known.status_code == 409


async def test_a_virtual_arm_is_its_owners(house: House) -> None:
    arm = house.rig.services.book.get(OLGA_V).wanted.arm
    await until(lambda: arm in house.rig.services.board.arms)
    listed = {item["arm"] for item in (await house.otto.get("/api/arms")).json()["arms"]}
    assert listed == {"arm"}
    assert {item["arm"] for item in (await house.olga.get("/api/arms")).json()["arms"]} == {"arm", arm}
    for path in ("/api/control/status", "/api/telemetry/history", "/api/recorder/status"):
        assert (await house.otto.get(path, params={"arm": arm})).status_code == 404, path
    for path in ("/api/control/resume", "/api/control/reset", "/api/control/start"):
        assert (await house.otto.post(path, params={"arm": arm})).status_code == 404, path
    # For Otto the only arm is the physical one; Olga has two.
    assert (await house.otto.get("/api/control/status")).json()["arm"] == "arm"
    assert (await house.olga.get("/api/control/status")).status_code == 400
    refused = await ask_socket(house.rig.app, "/ws/telemetry", token=house.otto_token, query=f"arm={arm}")
    assert refused.status_code == 404
    shared = await ask_socket(house.rig.app, "/ws/telemetry", token=house.otto_token, query="arm=arm")
    assert shared.status_code == SWITCHING


async def test_an_estop_of_all_stops_all_and_names_ones_own(house: House) -> None:
    arm = house.rig.services.book.get(OLGA_V).wanted.arm
    await until(lambda: arm in house.rig.services.board.arms)
    answer = (await house.otto.post("/api/control/estop")).json()
    assert set(answer["arms"]) == {"arm"} and answer["other_arms"] == 1
    assert {name for name, verb in house.rig.fake.calls if verb == "estop"} == {"arm", arm}


async def test_an_owner_survives_a_restart(data_dir: Any) -> None:
    async with open_rig(data_dir) as rig, rig.caller(await rig.user("olga")) as olga:
        body = {"session_id": "s", "policy_path": "demo", "robot": "arm"}
        assert (await olga.post("/sessions", json=body)).status_code == 200
    async with open_rig(data_dir) as rig:
        async with rig.caller(await rig.user("otto")) as otto:
            assert await ids(otto) == set()
        assert (await rig.http.get("/sessions/s")).json()["owner"] == "olga"
