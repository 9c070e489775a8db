# SPDX-License-Identifier: Apache-2.0
"""Sessions of every kind are in one list, and a verb that does not fit the kind is told so."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from lerobot_arena.testing.bridge_fake_kind import FakeTeleop
from lerobot_arena.testing.bridge_rig import Rig

SEED = json.loads((Path(__file__).parent / "seed1.openapi.json").read_text())


@pytest.fixture
async def mixed(rig: Rig) -> Rig:
    """One session of each kind, and one teleop session of Olga's."""
    rig.services.kinds.sources.append(FakeTeleop({"hand": "local", "olgas": "olga"}))
    await rig.create("drive")
    return rig


async def test_the_list_holds_every_kind_and_is_seed_1s(mixed: Rig) -> None:
    listed = (await mixed.http.get("/sessions")).json()
    assert {(item["session_id"], item["kind"], item["owner"]) for item in listed} == {
        ("drive", "inference", "local"),
        ("hand", "teleop", "local"),
        ("olgas", "teleop", "olga"),
    }
    schema = {"$ref": "#/components/schemas/SessionStatusResponse", "components": SEED["components"]}
    for item in listed:
        Draft202012Validator(schema).validate(item)
        assert (await mixed.http.get(f"/sessions/{item['session_id']}")).json() == item


async def test_a_kind_narrows_the_list_and_an_unknown_one_names_those_there_are(mixed: Rig) -> None:
    teleop = (await mixed.http.get("/sessions", params={"kind": "teleop"})).json()
    assert [item["session_id"] for item in teleop] == ["hand", "olgas"]
    inference = (await mixed.http.get("/api/sessions", params={"kind": "inference"})).json()
    assert [item["session_id"] for item in inference] == ["drive"]
    refused = await mixed.http.get("/sessions", params={"kind": "dance"})
    assert refused.status_code == 400
    assert "inference, teleop" in refused.json()["detail"] and refused.json()["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [
        ("POST", "/sessions/hand/start", "start"),
        ("POST", "/sessions/hand/restart", "restart"),
        ("POST", "/debug/sessions/hand/reset", "reset"),
        ("GET", "/debug/sessions/hand/queue", "queue"),
    ],
)
async def test_a_verb_that_does_not_fit_the_kind_is_409_with_the_reason(
    mixed: Rig, method: str, path: str, verb: str
) -> None:
    answer = await mixed.http.request(method, path)
    assert answer.status_code == 409
    assert "kind teleop" in answer.json()["detail"] and f"nothing to {verb}" in answer.json()["detail"]
    assert mixed.fake.calls == []


async def test_a_verb_that_fits_reaches_its_kind(mixed: Rig) -> None:
    assert (await mixed.http.post("/sessions/hand/stop")).status_code == 200
    assert (await mixed.http.get("/sessions/hand")).status_code == 404
    assert (await mixed.http.delete("/sessions/olgas")).status_code == 200


async def test_ids_are_unique_over_all_kinds(mixed: Rig) -> None:
    answer = await mixed.http.post("/sessions", json={"session_id": "hand", "policy_path": "demo"})
    assert answer.status_code == 409 and "already exists" in answer.json()["detail"]


async def test_owners_hold_for_every_kind(mixed: Rig) -> None:
    async with mixed.caller(await mixed.user("otto")) as otto:
        assert (await otto.get("/sessions")).json() == []
        for method, path in (("GET", "/sessions/olgas"), ("DELETE", "/sessions/olgas")):
            assert (await otto.request(method, path)).status_code == 404
        # A verb that the kind has not is no way to find out either.
        assert (await otto.post("/sessions/olgas/start")).status_code == 404
    async with mixed.caller(await mixed.user("olga")) as olga:
        assert [item["session_id"] for item in (await olga.get("/sessions")).json()] == ["olgas"]
