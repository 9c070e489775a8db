# SPDX-License-Identifier: Apache-2.0
"""Runtime control: seed 3's verbs, parameters and states over sessions, with one story told by both."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from lerobot_arena.core.guard_config import RunWanted
from lerobot_arena.core.session import STOPPED
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def ready(rig: Rig) -> AsyncIterator[Rig]:
    await rig.create()
    yield rig


async def control(rig: Rig, verb: str, **options: Any) -> httpx.Response:
    return await rig.http.post(f"/api/control/{verb}", **options)


async def state(rig: Rig, arm: str = "arm") -> str:
    status = (await rig.http.get("/api/control/status", params={"arm": arm})).json()
    assert status["state"] == rig.fake.guards[arm].state
    return str(status["state"])


async def test_an_empty_start_runs_the_default_task_and_the_session_says_so(ready: Rig) -> None:
    answer = await control(ready, "start")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["started"] is True and body["state"] == "running"
    assert (body["task"], body["session_id"], body["n_cycles"], body["cycle_budget_ms"]) == (
        "default",
        "s",
        -1,
        20.0,
    )
    assert ready.fake.wanted.run_of("arm") == RunWanted("arm", "default", -1, 20.0)
    assert (await ready.status())["status"] == "running"
    paused = (await control(ready, "pause")).json()
    assert paused["paused"] is True and paused["state"] == "paused" == await state(ready)
    assert (await ready.status())["status"] == "running", "seed 1 has no word for a pause"
    resumed = (await control(ready, "resume")).json()
    assert resumed["resumed"] is True and resumed["state"] == "running"
    stopped = (await control(ready, "stop")).json()
    assert stopped["stopped"] is True and stopped["state"] == "stopped"
    assert (await ready.status())["status"] == "stopped"
    reset = (await control(ready, "reset")).json()
    assert reset["reset"] is True and reset["state"] == "idle"


async def test_parameters_come_by_query_or_as_json(ready: Rig) -> None:
    for options in (
        {"params": {"task_name": "default", "n_cycles": 7, "cycle_budget_ms": 50}},
        {"json": {"task_name": "default", "n_cycles": 7, "cycle_budget_ms": 50.0, "arm": "arm"}},
        {"params": {"n_cycles": "7"}, "json": {"cycle_budget_ms": 50}},
        {"params": {"n_cycles": 7}, "json": {"n_cycles": 7, "cycle_budget_ms": 50}},
    ):
        assert (await control(ready, "start", **options)).status_code == 200
        assert ready.fake.wanted.run_of("arm") == RunWanted("arm", "default", 7, 50.0)
        status = (await ready.http.get("/api/control/status")).json()
        assert status["control_frequency_hz"] == pytest.approx(20.0)
        await control(ready, "stop")
    clash = await control(ready, "start", params={"n_cycles": 7}, json={"n_cycles": 8})
    assert clash.status_code == 422 and "query" in clash.json()["detail"]


WRONG = {
    "n_cycles": ["0", "-2", "-5", "1.5", "x", "NaN", "1000000001", "1e3", "true", ""],
    "cycle_budget_ms": ["0", "-1", "NaN", "Infinity", "3.9", "200.1", "x", "1e999", "true", ""],
    "task_name": ["", "x" * 65],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
async def test_impossible_parameters_are_422_and_nothing_starts(ready: Rig, name: str, value: str) -> None:
    assert (await control(ready, "start", params={name: value})).status_code == 422
    is_json = name != "task_name" and value not in {"x", ""}
    content = f'{{"{name}": {value if is_json else json.dumps(value)}}}'
    assert (await control(ready, "start", content=content, headers=JSON)).status_code == 422
    assert await state(ready) == "idle" and ready.fake.calls == []


async def test_bodies_that_say_something_else_are_422(ready: Rig) -> None:
    for content in ("[]", "3", '{"tsk_name": "default"}', '{"n_cycles": 7.0}', '{"n_cycles": "7"}', "{"):
        assert (await control(ready, "start", content=content, headers=JSON)).status_code == 422
    assert (await control(ready, "pause", content='{"n": 1}', headers=JSON)).status_code == 422
    assert await state(ready) == "idle"


async def test_what_cannot_start_says_why(ready: Rig) -> None:
    unknown = await control(ready, "start", params={"task_name": "defalt"})
    assert unknown.status_code == 404 and "Did you mean 'default'" in unknown.json()["detail"]
    ready.fake.refusals["arm"] = "No joint state has arrived."
    refused = await control(ready, "start")
    assert refused.status_code == 409 and refused.json()["detail"] == "No joint state has arrived."
    ready.fake.refusals.clear()
    assert (await control(ready, "start")).status_code == 200
    epoch = ready.fake.guards["arm"].epoch
    for verb in ("start", "resume"):
        answer = await control(ready, verb)
        assert answer.status_code == 409 and "running" in answer.json()["detail"]
    assert ready.fake.guards["arm"].epoch == epoch, "the first run is untouched"
    assert (await control(ready, "estop")).status_code == 200
    for verb in ("start", "pause", "resume"):
        assert (await control(ready, verb)).status_code == 409
    assert (await control(ready, "stop")).json()["state"] == "emergency"


async def test_of_starts_at_once_one_wins(ready: Rig) -> None:
    answers = await asyncio.gather(*(control(ready, "start") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_pause_and_resume_keep_to_their_states(ready: Rig) -> None:
    for verb in ("pause", "resume"):
        answer = await control(ready, verb)
        assert answer.status_code == 409 and "idle" in answer.json()["detail"]
    await control(ready, "start")
    await control(ready, "pause")
    assert (await control(ready, "pause")).status_code == 409
    assert (await control(ready, "start")).status_code == 409
    assert (await control(ready, "reset")).status_code == 409
    ready.fake.refusals["arm"] = "The arm was moved by hand."
    answer = await control(ready, "resume")
    assert answer.status_code == 409 and answer.json()["detail"] == "The arm was moved by hand."
    ready.fake.refusals.clear()
    assert (await control(ready, "resume")).status_code == 200
    await control(ready, "pause")
    assert (await control(ready, "stop")).json()["state"] == "stopped"
    assert (await control(ready, "resume")).status_code == 409


async def test_a_plain_session_start_forgets_the_run_and_lets_a_paused_one_go_on(ready: Rig) -> None:
    await control(ready, "start", params={"n_cycles": 9, "cycle_budget_ms": 100})
    await control(ready, "pause")
    await ready.start()
    assert await state(ready) == "running" and ready.fake.guards["arm"].epoch == 2
    assert ready.fake.wanted.run_of("arm").n_cycles == 9
    await control(ready, "stop")
    await ready.start()
    assert ready.fake.wanted.run_of("arm") == RunWanted("arm")


async def test_a_run_of_a_few_cycles_ends_stopped(ready: Rig) -> None:
    assert (await control(ready, "start", params={"n_cycles": 3})).status_code == 200
    for _ in range(5):
        ready.fake.beat()
    assert await state(ready) == "stopped"
    assert (await ready.status())["stats"]["commands_sent"] == 3
    # Over before anybody saw it run: that is no failure.
    do_start = ready.fake._start

    def at_once(arm: str) -> Any:
        answer = do_start(arm)
        ready.fake.guards[arm] = replace(
            ready.fake.guards[arm], state=STOPPED, message="All cycles are done."
        )
        return answer

    ready.fake._start = at_once  # type: ignore[method-assign]
    answer = await control(ready, "start", params={"n_cycles": 1})
    assert answer.status_code == 200 and answer.json()["state"] == "stopped"
    assert (await control(ready, "start")).status_code == 504


async def test_which_session_a_task_means(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(("left", "right"))) as rig:
        none = await control(rig, "start", params={"arm": "left"})
        assert none.status_code == 409 and "no session" in none.json()["detail"]
        assert (await control(rig, "start")).status_code == 400
        assert (await control(rig, "start", params={"arm": "up"})).status_code == 404
        await rig.create("a", robot="left")
        await rig.create("b", robot="left")
        await rig.create("c", robot="right")
        unclear = await control(rig, "start", params={"arm": "left"})
        assert unclear.status_code == 409 and "a, b" in unclear.json()["detail"]
        task = {"name": "pick", "boundaries": ["steady_policy"], "session_id": "b"}
        assert (await rig.http.post("/api/tasks", json=task)).status_code == 201
        answer = await control(rig, "start", params={"task_name": "pick"})
        assert answer.status_code == 200, "the session says which arm"
        assert (answer.json()["arm"], answer.json()["session_id"]) == ("left", "b")
        status = (await rig.http.get("/api/control/status?arm=left")).json()
        assert (status["active_task"], status["active_boundaries"]) == ("pick", ["steady_policy"])
        assert status["available_tasks"] == ["default", "pick"]
        wrong = await control(rig, "start", params={"task_name": "pick", "arm": "right"})
        assert wrong.status_code == 409 and "'left'" in wrong.json()["detail"]
        assert (await control(rig, "start", params={"arm": "right"})).json()["session_id"] == "c"
        await control(rig, "stop", json={"arm": "left"})
        # It was selected by its start, and is so from now on.
        assert (await control(rig, "start", params={"arm": "left"})).json()["session_id"] == "b"
        await control(rig, "stop", params={"arm": "left"})
        await rig.http.delete("/sessions/b")
        gone = await control(rig, "start", params={"task_name": "pick"})
        assert gone.status_code == 409 and "does not exist" in gone.json()["detail"]
        for verb in ("pause", "resume", "stop", "reset"):
            assert (await control(rig, verb)).status_code == 400


async def test_a_stop_overtakes_a_start_that_waits(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(is_loading=True), start_timeout_s=60.0) as rig:
        await rig.create()
        starting = await rig.start_waiting("/api/control/start")
        assert (await control(rig, "stop")).status_code == 200
        assert (await asyncio.wait_for(starting, 20.0)).status_code == 409
        assert rig.fake.calls == []


async def test_nothing_starts_under_boundaries_that_the_guard_does_not_have(data_dir: Path) -> None:
    fake = FakeArms(config_refusals={"arm": "Boundary 'not_forever' does not fit this arm."})
    async with open_rig(data_dir, fake) as rig:
        await rig.create()
        for answer in (await control(rig, "start"), await rig.verb("start")):
            assert answer.status_code == 409 and "does not fit" in answer.json()["detail"]
        fake.config_refusals.clear()
        fake.deaf_guards.add("arm")
        rig.services.config._announce(replace(fake.config, version=fake.config.version + 1))
        assert (await control(rig, "start")).status_code == 504
        assert fake.calls == []
        fake.deaf_guards.clear()
        fake.take_config(fake.config)
        fake.report()
        assert (await control(rig, "start")).status_code == 200


async def test_a_reset_is_refused_while_a_cause_persists_and_lists_them(ready: Rig) -> None:
    ready.fake.causes["arm"] = ("The temperature of gripper is 71 °C.", "No joint state for 3 s.")
    await control(ready, "estop")
    status = (await ready.http.get("/api/control/status")).json()
    assert status["reset_refusals"] == list(ready.fake.causes["arm"]) and status["risk_level"] == "EMERGENCY"
    answer = await control(ready, "reset")
    assert answer.status_code == 409 and answer.json()["causes"] == list(ready.fake.causes["arm"])
    assert "71 °C" in answer.json()["detail"] and await state(ready) == "emergency"
    ready.fake.causes.clear()
    assert (await control(ready, "reset")).status_code == 200
    assert await state(ready) == "idle"


async def test_a_reset_of_an_idle_arm_does_nothing_and_is_well(ready: Rig) -> None:
    answer = await control(ready, "reset")
    assert answer.status_code == 200 and answer.json()["state"] == "idle" and ready.fake.calls == []


async def test_a_guard_that_does_not_guard_is_shouted(ready: Rig) -> None:
    status = (await ready.http.get("/api/control/status")).json()
    assert status["enforcement_mode"] == "enforce" and status["warning"] is None
    ready.fake.guards["arm"] = replace(ready.fake.guards["arm"], enforcement="monitor")
    ready.fake.report()
    status = (await ready.http.get("/api/control/status")).json()
    assert status["enforcement_mode"] == "monitor" and "DOES NOT GUARD" in status["warning"]
    (arm,) = (await ready.http.get("/api/arms")).json()["arms"]
    assert arm["warning"] == status["warning"]
    ready.fake.guards["arm"] = replace(ready.fake.guards["arm"], state="running")
    event = ready.fake.cycle(ready.fake.guards["arm"], 1)
    ready.services.feed.push("arm", event)
    assert (await ready.http.get("/api/telemetry/history")).json()["events"][0]["enforcement"] == "monitor"


VERBS = ("start", "pause", "resume", "stop", "estop", "reset")


class Control(RuleBasedStateMachine):
    """One arm and its session: whatever is asked in whatever order, or at once, both tell the same story."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.state = "idle"

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.opened = open_rig(Path(self.folder.name))
        self.rig = self.loop.run_until_complete(self.opened.__aenter__())
        self.loop.run_until_complete(self.rig.create())

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.loop.run_until_complete(self.opened.__aexit__(None, None, None))
            self.folder.cleanup()
        self.loop.close()

    @rule(verb=st.sampled_from(VERBS))
    def one(self, verb: str) -> None:
        allowed = {
            "start": {"idle": "running", "stopped": "running"},
            "pause": {"running": "paused"},
            "resume": {"paused": "running"},
            "stop": {s: "stopped" if s in {"running", "paused"} else s for s in STATES},
            "estop": dict.fromkeys(STATES, "emergency"),
            "reset": {"idle": "idle", "stopped": "idle", "emergency": "idle"},
        }[verb]
        answer = self.loop.run_until_complete(control(self.rig, verb))
        assert answer.status_code == (200 if self.state in allowed else 409), (verb, self.state, answer.text)
        self.state = allowed.get(self.state, self.state)
        if answer.status_code == 200:
            assert answer.json()["state"] == self.state

    @rule(verbs=st.lists(st.sampled_from(VERBS), min_size=2, max_size=5))
    def at_once(self, verbs: list[str]) -> None:
        async def race() -> list[httpx.Response]:
            return await asyncio.gather(*(control(self.rig, verb) for verb in verbs))

        answers = self.loop.run_until_complete(race())
        assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
        self.state = self.rig.fake.guards["arm"].state
        if "estop" in verbs and "reset" not in verbs:
            assert self.state == "emergency", "an e-stop wins every race"

    @rule(verb=st.sampled_from(["start", "stop", "restart"]))
    def by_session(self, verb: str) -> None:
        answer = self.loop.run_until_complete(self.rig.verb(verb))
        assert answer.status_code in {200, 409}
        self.state = self.rig.fake.guards["arm"].state

    @invariant()
    def one_story(self) -> None:
        if not hasattr(self, "rig"):
            return
        assert self.loop.run_until_complete(state(self.rig)) == self.state
        status = self.loop.run_until_complete(self.rig.status())["status"]
        assert (status == "running") == (self.state in {"running", "paused"})


STATES = ("idle", "running", "paused", "stopped", "emergency")


def test_a_model_of_the_control_api_with_races() -> None:
    run_state_machine_as_test(
        Control,
        settings=settings(
            max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
