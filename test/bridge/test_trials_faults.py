# SPDX-License-Identifier: Apache-2.0
"""Physical trials when the bridge, its database or its visitors misbehave: each ends, and so does its recording."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from lerobot_arena.bridge import trials as bridge_trials
from lerobot_arena.bridge.models import CreateSessionRequest
from lerobot_arena.bridge.ports import VerbAnswer
from lerobot_arena.bridge.trials import OWNER
from lerobot_arena.platform.arena.matchup import FAILED
from lerobot_arena.platform.arena.trials import new_side
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_fake_recorder import SESSION_ID
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until
from lerobot_arena.testing.trial_calls import at_end, begin, matchup_of, run_both, running


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """An account with every scope a user has."""
    async with rig.caller(await rig.user("olga")) as http:
        yield http


async def left_behind(data_dir: Path, recording: str) -> str:
    """As a bridge that was killed leaves a trial whose first side was being recorded."""
    async with open_rig(data_dir) as rig:
        fields = {
            "session_id": "trial-1-left",
            "policy_path": "demo",
            "robot": "arm",
            "camera_names": ["front"],
        }
        await rig.services.maker.create(CreateSessionRequest.model_validate(fields), OWNER)
        trials = rig.services.published.trials
        matchup = trials.begin(new_side("demo", ""), new_side("hold", ""), robot="so101", robot_content="")
        trials.note_recording(matchup.id, "left", recording)
        return matchup.id


async def test_a_recording_that_a_killed_bridge_left_is_ended(data_dir: Path) -> None:
    matchup_id = await left_behind(data_dir, SESSION_ID)
    fake = FakeArms()
    fake.recorders.recordings["arm"] = SESSION_ID
    async with open_rig(data_dir, fake) as rig, rig.caller(await rig.user("olga")) as http:
        await until(lambda: not fake.recorders.recordings)
        assert (await matchup_of(http, matchup_id))["status"] == "failed"
        await begin(http)
        await run_both(rig)


async def test_somebody_elses_recording_goes_on(data_dir: Path) -> None:
    await left_behind(data_dir, "sess_other")
    fake = FakeArms()
    fake.recorders.recordings["arm"] = SESSION_ID
    async with open_rig(data_dir, fake) as rig:
        await until(lambda: not rig.services.trials._ending)
        assert fake.recorders.recordings == {"arm": SESSION_ID} and ("arm", "record_status") in fake.calls


async def test_an_end_while_the_recorder_begins_ends_the_recording(
    rig: Rig, operator: httpx.AsyncClient
) -> None:
    asked, may_answer, call = asyncio.Event(), asyncio.Event(), rig.fake.call

    async def slow(arm: str, verb: str, *, timeout_s: float) -> VerbAnswer:
        if verb == "record_start":
            asked.set()
            await may_answer.wait()
        return await call(arm, verb, timeout_s=timeout_s)

    rig.fake.call = slow  # type: ignore[method-assign]
    begun = await begin(operator)
    await asked.wait()
    closing = asyncio.create_task(rig.services.trials.close())
    # It is cancelled by then, and waits.
    await until(lambda: any(task and task.cancelling() for task in rig.services.trials._tasks.values()))
    may_answer.set()
    await closing
    assert not rig.fake.recorders.recordings and ("arm", "record_stop") in rig.fake.calls
    assert (await matchup_of(operator, begun["id"]))["status"] == "failed"


async def test_a_flood_of_the_catalog_keeps_no_trial_from_ending(
    rig: Rig, operator: httpx.AsyncClient
) -> None:
    begun, over = await begin(operator), threading.Event()
    await running(rig)
    desk = rig.services.published.desk
    flood = [asyncio.create_task(desk.ask(over.wait)) for _ in range(64)]
    try:
        await until(lambda: desk._waiting == 64)
        rig.fake.fail(rig.fake.guards["arm"].session_id, "The policy threw.")
        await at_end(rig)
        assert rig.services.published.votes.get(begun["id"]).state == FAILED
    finally:
        over.set()
        await asyncio.gather(*flood)


async def test_a_database_that_is_busy_is_asked_again(
    rig: Rig, operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, tries = rig.services.published.trials, []
    fail = trials.fail

    def locked_once(matchup_id: str, reason: str) -> None:
        tries.append(reason)
        if len(tries) == 1:
            raise OperationalError("UPDATE matchups", {}, Exception("database is locked"))
        fail(matchup_id, reason)

    monkeypatch.setattr(trials, "fail", locked_once)
    monkeypatch.setattr(bridge_trials, "_RETRY_S", 0.01)
    begun = await begin(operator)
    await running(rig)
    rig.fake.fail(rig.fake.guards["arm"].session_id, "The policy threw.")
    await at_end(rig)
    assert len(tries) == 2 and (await matchup_of(operator, begun["id"]))["status"] == "failed"
