# SPDX-License-Identifier: Apache-2.0
"""Seed 2's arena and leaderboard over REST: schemas, listed status codes, and who learns which name when."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.platform.arena.matchup import BROWSER, OPEN_S, UNLOCK_S
from lerobot_arena.platform.catalog.item import POLICY, ROBOT, SCENE, Item
from lerobot_arena.testing.bridge_rig import BASE, Rig, until
from lerobot_arena.testing.seed_schemas import check_answer

SEED = Path(__file__).with_name("seed2.openapi.json")


@pytest.fixture
def policies(rig: Rig) -> Rig:
    """Two policies on one robot and scene."""
    shelf = rig.services.published.shelf
    shelf.put(Item(kind=ROBOT, owner="lab", slug="pony", title="Pony"))
    shelf.put(Item(kind=SCENE, owner="lab", slug="park", title="Park"))
    facts = {"defaultRobotRef": "lab/pony", "defaultSceneRef": "lab/park", "controlSpec": {"version": 1}}
    for slug in ("trot", "walk"):
        shelf.put(Item(kind=POLICY, owner="lab", slug=slug, title=slug.title(), facts=facts))
    return rig


async def launch(rig: Rig) -> dict[str, Any]:
    answer = await rig.http.post("/api/arena/launch")
    assert answer.status_code == 201, answer.text
    check_answer(SEED, "ArenaMatchupEnvelope", answer.json())
    matchup: dict[str, Any] = answer.json()["matchup"]
    return matchup


async def test_names_are_hidden_until_one_has_voted(policies: Rig) -> None:
    matchup = await launch(policies)
    assert "lab/" not in json.dumps(matchup) and "Trot" not in json.dumps(matchup)
    body = {"matchupId": matchup["id"], "winner": "left"}
    early = await policies.http.post("/api/arena/vote", json=body)
    assert early.status_code == 400 and "Watch both" in early.json()["error"]
    check_answer(SEED, "Error", early.json())
    policies.clock.advance(UNLOCK_S)
    voted = await policies.http.post("/api/arena/vote", json=body)
    assert voted.status_code == 200, voted.text
    check_answer(SEED, "ArenaMatchupEnvelope", voted.json())
    sides = {voted.json()["matchup"][side]["policyRef"] for side in ("left", "right")}
    assert sides == {"lab/trot", "lab/walk"}
    path = f"/api/arena/matchup/{matchup['id']}"
    assert "lab/trot" in (await policies.http.get(path)).text
    other = await policies.http.get(path, headers={"User-Agent": "another browser"})
    assert "lab/trot" not in other.text
    again = await policies.http.post("/api/arena/vote", json=body)
    assert again.status_code == 400 and "already" in again.json()["error"]


async def test_control_gives_the_message_to_post(policies: Rig) -> None:
    matchup = await launch(policies)
    body = {"matchupId": matchup["id"], "side": "right", "action": "forward-press"}
    answer = await policies.http.post("/api/arena/control", json=body)
    assert answer.status_code == 200
    check_answer(SEED, "ArenaControlEnvelope", answer.json())
    payload = answer.json()["dispatches"][0]["payload"]
    assert payload["simulationId"] == matchup["right"]["simulationId"]
    assert payload["action"] == "forward-press" and "lab/" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/arena/launch", None, 400),
        ("GET", "/api/arena/matchup/matchup_none", None, 404),
        ("POST", "/api/arena/control", {"matchupId": "m", "side": "left", "action": "reset"}, 404),
        ("POST", "/api/arena/control", {"matchupId": "m", "side": "up", "action": "reset"}, 400),
        ("POST", "/api/arena/control", {}, 400),
        ("POST", "/api/arena/vote", {"matchupId": "m", "winner": "left"}, 400),
        ("POST", "/api/arena/vote", {"matchupId": "m", "winner": "me"}, 400),
        ("POST", "/api/arena/vote", None, 400),
    ],
)
async def test_every_refusal_is_one_sentence(
    rig: Rig, method: str, path: str, body: Any, status: int
) -> None:
    answer = await rig.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    check_answer(SEED, "Error", answer.json())


async def test_the_leaderboard_follows_the_votes(policies: Rig) -> None:
    empty = (await policies.http.get("/v1/leaderboard")).json()
    check_answer(SEED, "Leaderboard", empty)
    assert empty["updated_at"] is None and empty["winner"] is None
    for number in range(12):
        matchup = await launch(policies)
        policies.clock.advance(UNLOCK_S)
        kept = policies.services.published.arena.get(matchup["id"])
        better = "left" if kept.left.policy == "lab/trot" else "right"
        async with policies.caller(address=f"203.0.113.{number}") as voter:
            body = {"matchupId": matchup["id"], "winner": better}
            assert (await voter.post("/api/arena/vote", json=body)).status_code == 200
    board = policies.services.published.leaderboard
    await until(lambda: board.table.updated_at is not None)
    await policies.services.published.desk.ask(board.refresh)
    table = (await policies.http.get("/v1/leaderboard")).json()
    check_answer(SEED, "Leaderboard", table)
    assert [entry["policy_ref"] for entry in table["entries"]] == ["lab/trot", "lab/walk"]
    assert table["entries"][0]["title"] == "Trot" and table["winner"] == "lab/trot"
    wins = (await policies.http.get("/v1/leaderboard/wins")).json()
    assert wins["lab/trot"]["lab/walk"] == 12
    lines = (await policies.http.get("/v1/leaderboard/trials")).text.splitlines()
    assert [json.loads(line) for line in lines[:2]] == [
        {"policy": "lab/trot", "title": "Trot"},
        {"policy": "lab/walk", "title": "Walk"},
    ]
    assert len(lines) == 14 and len(json.loads(lines[2])["left_content"]) == 64


async def test_other_browsers_of_one_network_are_one_voter(policies: Rig) -> None:
    async def vote(number: int) -> None:
        matchup = await launch(policies)
        policies.clock.advance(UNLOCK_S)
        better = policies.services.published.arena.get(matchup["id"]).left.policy == "lab/trot"
        body = {"matchupId": matchup["id"], "winner": "left" if better else "right"}
        agent = {"User-Agent": f"browser {number}"}
        async with policies.caller(address=f"2001:db8:0:7::{number + 1:x}", headers=agent) as bot:
            assert (await bot.post("/api/arena/vote", json=body)).status_code == 200

    for number in range(20):
        await vote(number)
    published = policies.services.published
    table = await published.desk.ask(published.leaderboard.refresh)
    assert table.standings.winner is None and table.wins["lab/trot"]["lab/walk"] == 1
    told = (await policies.http.get("/v1/leaderboard/trials")).text.splitlines()[2:]
    assert len(told) == 20 and len({json.loads(line)["network"] for line in told}) == 1


async def test_what_is_still_voted_on_is_told_without_its_sides(policies: Rig) -> None:
    matchup = await launch(policies)
    policies.clock.advance(UNLOCK_S)
    body = {"matchupId": matchup["id"], "winner": "left"}
    assert (await policies.http.post("/api/arena/vote", json=body)).status_code == 200
    told = (await policies.http.get("/v1/leaderboard/trials")).text
    vote = json.loads(told.splitlines()[-1])
    assert matchup["id"] not in told and (vote["left"], vote["right"]) == ("lab/trot", "lab/walk")
    policies.clock.advance(OPEN_S[BROWSER])
    told = (await policies.http.get("/v1/leaderboard/trials")).text
    vote = json.loads(told.splitlines()[-1])
    kept = policies.services.published.arena.get(matchup["id"])
    assert (vote["matchup"], vote["left"]) == (matchup["id"], kept.left.policy)


async def test_the_arena_is_open_to_anybody(policies: Rig) -> None:
    transport = httpx.ASGITransport(policies.app, client=("203.0.113.5", 4))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as stranger:
        assert (await stranger.post("/api/arena/launch")).status_code == 201
        assert (await stranger.get("/v1/leaderboard")).status_code == 200
        assert (await stranger.get("/sessions")).status_code == 401
