# SPDX-License-Identifier: Apache-2.0
"""Seed 2's API tokens: real answers against its own schemas."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from lerobot_arena.core.principal import SESSIONS_READ
from lerobot_arena.testing.bridge_rig import Rig

SEED = json.loads((Path(__file__).parent / "seed2.openapi.json").read_text())
PASSWORD = "a long enough sentence"
PATH = "/api/api-tokens"


def check(answer: httpx.Response, path: str) -> Any:
    """The body, valid as the seed's answer with that status; no other status is the seed's."""
    responses = SEED["paths"][path][answer.request.method.lower()]["responses"]
    assert str(answer.status_code) in responses, (answer.status_code, answer.text)
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for(
        {
            **schema,
            "components": SEED["components"],
            "$schema": "https://json-schema.org/draft/2020-12/schema",
        },
        validate_formats=True,
    ).validate(answer.json())
    return answer.json()


@pytest.fixture
async def ben(rig: Rig) -> dict[str, str]:
    users = rig.services.accounts.users
    users.create("anna", PASSWORD, role="admin")
    users.create("ben", PASSWORD)
    return {"Authorization": f"Bearer {rig.services.accounts.log_in('ben', PASSWORD, '::1').access_token}"}


async def test_a_token_is_made_used_listed_and_revoked(rig: Rig, ben: dict[str, str]) -> None:
    http = rig.http
    assert check(await http.get(PATH, headers=ben), PATH) == []
    answer = await http.post(PATH, json={"name": "MacBook Pro"}, headers=ben)
    made = check(answer, PATH)
    assert answer.status_code == 201
    secret = made.pop("token")
    assert secret.startswith("rr_live_") and made["prefix"] == secret[:12]
    assert (made["owner"], made["name"], made["lastUsedAt"], made["revokedAt"]) == (
        "ben",
        "MacBook Pro",
        None,
        None,
    )
    assert made["createdAt"].endswith("Z")
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
        me = (await http.get("/auth/me", headers=headers)).json()
        assert (me["username"], me["via"]) == ("ben", "token")
    rig.services.accounts.flush()
    listed = check(await http.get(PATH, headers={"X-API-Key": secret}), PATH)
    assert listed == [{**made, "lastUsedAt": listed[0]["lastUsedAt"]}] and listed[0]["lastUsedAt"].endswith(
        "Z"
    )
    assert secret not in json.dumps(listed)
    one = f"{PATH}/{made['id']}"
    assert check(await http.delete(one, headers=ben), PATH + "/{tokenId}") == {"ok": True}
    check(again := await http.delete(one, headers=ben), PATH + "/{tokenId}")
    assert again.status_code == 404
    check(refused := await http.get(PATH, headers={"X-API-Key": secret}), PATH)
    assert refused.status_code == 401
    assert check(await http.get(PATH, headers=ben), PATH) == []


async def test_all_are_revoked_at_once(rig: Rig, ben: dict[str, str]) -> None:
    secrets = [(await rig.http.post(PATH, json={"name": "x"}, headers=ben)).json()["token"] for _ in range(3)]
    answer = await rig.http.delete(PATH, headers={"X-API-Key": secrets[0]})
    assert check(answer, PATH) == {"ok": True, "revokedCount": 3}
    for secret in secrets:
        assert (await rig.http.get("/auth/me", headers={"X-API-Key": secret})).status_code == 401
    assert check(await rig.http.delete(PATH, headers=ben), PATH) == {"ok": True, "revokedCount": 0}


async def test_others_tokens_are_not_there(rig: Rig, ben: dict[str, str]) -> None:
    token_id = (await rig.http.post(PATH, json={"name": "x"}, headers=ben)).json()["id"]
    anna = {"Authorization": f"Bearer {rig.services.accounts.log_in('anna', PASSWORD, '::1').access_token}"}
    assert (await rig.http.delete(f"{PATH}/{token_id}", headers=anna)).status_code == 404
    assert check(await rig.http.get(PATH, headers=anna), PATH) == []


UNUSABLE: list[Any] = [
    {},
    {"name": ""},
    {"name": "  "},
    {"name": None},
    {"name": 7},
    {"name": "x" * 201},
    {"name": "a\0b"},
    {"name": "x", "scopes": ["admin"]},
    {"name": "x", "scopes": ["nonsense"]},
    {"name": "x", "scopes": "sessions:read"},
    [],
    "x",
    None,
]


async def test_a_token_that_cannot_be_made_is_one_sentence(rig: Rig, ben: dict[str, str]) -> None:
    for body in UNUSABLE:
        answer = await rig.http.post(PATH, json=body, headers=ben)
        assert answer.status_code == 400, body
        assert isinstance(check(answer, PATH)["error"], str)


async def test_the_seed_wants_an_account_also_at_the_machine(rig: Rig) -> None:
    for headers in ({}, {"X-API-Key": "rr_live_nothing"}, {"Authorization": "Bearer nothing"}):
        for method in ("GET", "POST", "DELETE"):
            answer = await rig.http.request(method, PATH, headers=headers)
            assert answer.status_code == 401
            check(answer, PATH)


async def test_a_token_asks_for_no_more_than_it_may(rig: Rig, ben: dict[str, str]) -> None:
    narrow = await rig.http.post(PATH, json={"name": "x", "scopes": [SESSIONS_READ]}, headers=ben)
    key = {"X-API-Key": narrow.json()["token"]}
    assert narrow.json()["scopes"] == [SESSIONS_READ]
    assert (await rig.http.post("/api/control/stop", headers=key)).status_code == 403
    assert (await rig.http.get("/sessions", headers=key)).status_code == 200
    child = await rig.http.post(PATH, json={"name": "y"}, headers=key)
    assert child.status_code == 201 and child.json()["scopes"] == [SESSIONS_READ]
    wide = await rig.http.post(PATH, json={"name": "z", "scopes": ["sessions:operate"]}, headers=key)
    assert wide.status_code == 400


async def test_operations_are_called_as_in_the_seed(rig: Rig) -> None:
    ours = (await rig.http.get("/openapi.json")).json()
    for path in (PATH, PATH + "/{tokenId}"):
        for method, operation in SEED["paths"][path].items():
            found = ours["paths"][path][method]
            for key in ("operationId", "tags", "summary"):
                assert found[key] == operation[key]
            assert operation["responses"].keys() <= found["responses"].keys()
