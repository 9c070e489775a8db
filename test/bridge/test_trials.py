# SPDX-License-Identifier: Apache-2.0
"""Physical trials over a fake arm: both sides from one scene, blind until voted, failed with a reason otherwise."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.bridge.trials import OWNER
from lerobot_arena.core.principal import SESSIONS_READ
from lerobot_arena.core.session import PAUSED, STOPPED
from lerobot_arena.platform.accounts.names import RESERVED
from lerobot_arena.platform.arena.trials import new_side
from lerobot_arena.testing.bridge_fake_recorder import SESSION_ID
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until
from lerobot_arena.testing.seed_schemas import check_answer
from lerobot_arena.testing.trial_calls import (
    BODY,
    MUCH_LATER,
    at_end,
    begin,
    matchup_of,
    run_both,
    run_out,
    running,
)

SEED = Path(__file__).with_name("seed2.openapi.json")


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """An account with every scope a user has."""
    async with rig.caller(await rig.user("olga")) as http:
        yield http


async def test_both_sides_run_from_one_scene_and_are_recorded(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    check_answer(SEED, "ArenaMatchup", begun)
    assert (begun["status"], begun["kind"], begun["voteUnlockAt"]) == ("starting", "physical", None)
    assert begun["left"]["browserUrl"] is None
    await running(rig)
    # Who votes must not learn from a session what it runs.
    assert (await operator.get("/sessions")).json() == []
    first = rig.fake.tasks["arm"]
    await run_out(rig)
    await running(rig, 2)
    second = rig.fake.tasks["arm"]
    assert first.seed == second.seed == 8 and first.episode < second.episode
    await run_out(rig)
    await at_end(rig)
    ready = await matchup_of(operator, begun["id"])
    check_answer(SEED, "ArenaMatchup", ready)
    assert ready["status"] == "ready" and ready["voteUnlockAt"] is not None
    assert rig.fake.guards["arm"].state == STOPPED and not rig.fake.recorders.recordings
    assert len(rig.services.book.all()) == 0
    kept = rig.services.published.arena.get(begun["id"])
    assert (kept.robot, kept.scene) == ("so101", "pick_place seed 8")
    assert kept.left.content and kept.robot_content and kept.scene_content
    verbs = [verb for _, verb in rig.fake.calls if verb.endswith(("scene", "start", "record_stop"))]
    one = ["record_start", "start", "record_stop"]
    assert verbs == ["reset_scene", *one, "repeat_scene", *one]


async def test_names_and_recordings_are_told_after_the_vote(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    await run_both(rig)
    path = f"/api/arena/matchup/{begun['id']}"
    before = (await operator.get(path)).text
    assert "demo" not in before and SESSION_ID not in before
    voted = await operator.post("/api/arena/vote", json={"matchupId": begun["id"], "winner": "left"})
    assert voted.status_code == 200, voted.text
    check_answer(SEED, "ArenaMatchupEnvelope", voted.json())
    sides = [voted.json()["matchup"][side] for side in ("left", "right")]
    assert {side["policyRef"] for side in sides} == {"demo", "hold"}
    assert [side["recording"] for side in sides] == [SESSION_ID, f"{SESSION_ID}_2"]
    (trial,) = rig.services.published.votes.trials(MUCH_LATER)
    assert trial.kind == "physical" and trial.evidence == f"left:{SESSION_ID} right:{SESSION_ID}_2"


async def test_only_operators_vote_on_an_arms_runs(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    vote = {"matchupId": begun["id"], "winner": "left"}
    early = await operator.post("/api/arena/vote", json=vote)
    assert early.status_code == 400 and "starting" in early.json()["error"]
    await run_both(rig)
    async with rig.caller(await rig.user("rita", scopes=[SESSIONS_READ])) as reader, rig.caller() as stranger:
        for http in (reader, stranger, rig.http):
            answer = await http.post("/api/arena/vote", json=vote)
            assert answer.status_code == 403 and "sessions:operate" in answer.json()["error"]
            check_answer(SEED, "Error", answer.json())
    assert not list(rig.services.published.votes.trials(MUCH_LATER))


async def test_sides_are_drawn_by_the_seed(rig: Rig, operator: httpx.AsyncClient) -> None:
    drawn = []
    for number, seed in enumerate((0, 1, 2, 3, 3)):
        begun = await begin(operator, seed=seed)
        drawn.append(rig.services.published.arena.get(begun["id"]).left.policy)
        await running(rig, number + 1)
        await rig.http.post("/api/control/stop")
        await at_end(rig)
    assert set(drawn) == {"demo", "hold"} and drawn[3] == drawn[4]


async def test_an_estop_ends_it(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    await running(rig)
    assert (await rig.http.post("/api/control/estop")).status_code == 200
    await at_end(rig)
    failed = await matchup_of(operator, begun["id"])
    assert failed["status"] == "failed" and "e-stop" in failed["error"]
    assert not rig.fake.recorders.recordings and not rig.services.book.all()
    again = await operator.post("/api/arena/trials", json=BODY)
    assert again.status_code == 409 and "e-stop" in again.json()["error"]
    vote = await operator.post("/api/arena/vote", json={"matchupId": begun["id"], "winner": "left"})
    assert vote.status_code == 400 and "failed" in vote.json()["error"]


async def test_a_policy_that_fails_ends_it(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    await running(rig)
    rig.fake.fail(rig.fake.guards["arm"].session_id, "The policy threw.")
    await at_end(rig)
    failed = await matchup_of(operator, begun["id"])
    assert failed["status"] == "failed" and "The policy threw." in failed["error"]
    assert rig.fake.guards["arm"].state == STOPPED


async def test_a_person_may_stop_it_and_a_pause_is_waited_for(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator)
    await running(rig)
    assert (await operator.post("/api/control/pause")).status_code == 200
    await until(lambda: rig.fake.guards["arm"].state == PAUSED)
    assert rig.services.trials._tasks
    assert (await operator.post("/api/control/resume")).status_code == 403
    assert (await operator.post("/api/control/stop")).status_code == 200
    await at_end(rig)
    assert "stopped" in (await matchup_of(operator, begun["id"]))["error"]


async def test_the_referee_ends_a_run_before_its_time(rig: Rig, operator: httpx.AsyncClient) -> None:
    begun = await begin(operator, seconds=300.0)
    for side in (1, 2):
        await running(rig, side)
        rig.fake.tasks["arm"] = replace(rig.fake.tasks["arm"], is_over=True, is_success=True)
        rig.fake.report()
    await at_end(rig)
    assert (await matchup_of(operator, begun["id"]))["status"] == "ready"


async def test_what_cannot_be_recorded_does_not_move(rig: Rig, operator: httpx.AsyncClient) -> None:
    rig.fake.recorders.dead.add("arm")
    begun = await begin(operator)
    await at_end(rig)
    assert "recorder" in (await matchup_of(operator, begun["id"]))["error"]
    assert ("arm", "start") not in rig.fake.calls


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"policies": ["demo", "demo"]}, 400, "itself"),
        ({"policies": ["demo", "/etc"]}, 400, "No policy"),
        ({"policies": ["demo", "catalog:olga/none"]}, 400, "checkpoint"),
        ({"policies": ["demo"]}, 400, "policies"),
        ({"policies": None}, 400, "two checkpoints"),
        ({"arm": "leg"}, 404, "leg"),
        ({"seconds": 0.1}, 400, "seconds"),
        ({"seed": -1}, 400, "seed"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    rig: Rig, operator: httpx.AsyncClient, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = await operator.post("/api/arena/trials", json={**BODY, **changes})
    assert answer.status_code == status and words in answer.json()["error"], answer.text
    check_answer(SEED, "Error", answer.json())
    assert not rig.services.book.all() and not rig.services.trials._tasks


async def test_an_arm_that_is_not_free_is_refused(rig: Rig, operator: httpx.AsyncClient) -> None:
    await rig.create()
    await rig.start()
    busy = await operator.post("/api/arena/trials", json=BODY)
    assert busy.status_code == 409 and "running" in busy.json()["error"]
    await rig.verb("stop")
    await begin(operator)
    second = await operator.post("/api/arena/trials", json=BODY)
    assert second.status_code == 409 and "Another trial" in second.json()["error"]


async def test_a_launch_never_makes_one(rig: Rig, operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/api/arena/launch", json=BODY)).status_code == 400
    begun = await begin(operator)
    control = {"matchupId": begun["id"], "side": "left", "action": "reset"}
    refused = await operator.post("/api/arena/control", json=control)
    assert refused.status_code == 400 and "robot" in refused.json()["error"]
    pane = f"/arena/run/{begun['id']}/{begun['left']['simulationId']}/run.json"
    assert (await operator.get(pane)).status_code == 404
    assert not rig.services.published.arena.get(begun["id"]).ready, "looking at a pane is no run"


async def test_two_scenes_are_no_comparison(rig: Rig, operator: httpx.AsyncClient) -> None:
    rig.fake._repeat_scene = rig.fake._reset_scene  # type: ignore[method-assign]
    begun = await begin(operator)
    await run_both(rig)
    failed = await matchup_of(operator, begun["id"])
    assert failed["status"] == "failed" and "reset the scene" in failed["error"]


async def test_a_restart_ends_what_was_under_way(data_dir: Path) -> None:
    async with open_rig(data_dir) as rig, rig.caller(await rig.user("olga")) as http:
        begun = await begin(http)
        await running(rig)
        # As a bridge that was killed leaves it.
        sides = [new_side(name, name) for name in ("demo", "hold")]
        left = rig.services.published.trials.begin(sides[0], sides[1], robot="so101", robot_content="")
    async with open_rig(data_dir) as rig:
        for matchup_id in (begun["id"], left.id):
            failed = await matchup_of(rig.http, matchup_id)
            assert failed["status"] == "failed" and failed["error"]
        assert not rig.services.book.all()


async def test_a_folder_is_told_by_its_name_alone(rig: Rig, operator: httpx.AsyncClient) -> None:
    folder = rig.services.settings.roots[0] / "secret" / "act"
    folder.mkdir(parents=True)
    begun = await begin(operator, policies=["demo", str(folder)])
    kept = rig.services.published.arena.get(begun["id"])
    (named,) = {kept.left.policy, kept.right.policy} - {"demo"}
    assert named.startswith("local:act-") and "secret" not in json.dumps([named, kept.left.title])


def test_no_user_may_own_a_trials_sessions() -> None:
    assert OWNER in RESERVED
