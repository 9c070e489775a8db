# SPDX-License-Identifier: Apache-2.0
"""Start, stop, restart: idempotent, bounded, and answered only when the status shows the effect."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx

from lerobot_arena.core.session import STOPPED
from lerobot_arena.testing.bridge_fake_link import FakeArms
from lerobot_arena.testing.bridge_rig import Rig, open_rig, until


async def test_the_original_servers_dead_ends_work(rig: Rig) -> None:
    """start → stop → start → restart, each twice; upstream answered 500 from the second on."""
    await rig.create()
    assert (await rig.status())["status"] == "ready"
    for verb, done, status in (
        ("start", "started", "running"),
        ("start", "started", "running"),
        ("stop", "stopped", "stopped"),
        ("stop", "stopped", "stopped"),
        ("start", "started", "running"),
        ("restart", "restarted", "running"),
        ("stop", "stopped", "stopped"),
        ("restart", "restarted", "running"),
    ):
        answer = await rig.verb(verb)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"message": f"Inference {done} for session s"}
        assert (await rig.status())["status"] == status
    assert rig.fake.guards["arm"].epoch == 4


async def test_starts_at_once_are_one_start(rig: Rig) -> None:
    await rig.create()
    answers = await asyncio.gather(*(rig.verb("start") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert rig.fake.guards["arm"].epoch == 1


async def test_stopping_a_session_that_never_ran_asks_nobody(rig: Rig) -> None:
    await rig.create()
    assert (await rig.verb("stop")).status_code == 200
    assert (await rig.status())["status"] == "stopped" and rig.fake.calls == []


async def test_stop_of_one_session_leaves_another_of_the_same_arm_alone(rig: Rig) -> None:
    await rig.create("a")
    await rig.create("b")
    await rig.start("a")
    assert (await rig.verb("stop", "b")).status_code == 200
    assert (await rig.status("a"))["status"] == "running"


async def test_a_busy_arm_is_409_and_names_its_session(rig: Rig) -> None:
    await rig.create("a")
    await rig.create("b")
    await rig.start("a")
    answer = await rig.verb("start", "b")
    assert answer.status_code == 409 and "busy with session a" in answer.json()["detail"]
    assert (await rig.status("b"))["status"] == "ready"
    await rig.verb("stop", "a")
    await rig.start("b")
    assert (await rig.status("a"))["status"] == "stopped"


async def test_of_two_starts_on_one_arm_one_wins(rig: Rig) -> None:
    await rig.create("a")
    await rig.create("b")
    answers = await asyncio.gather(rig.verb("start", "a"), rig.verb("start", "b"))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    statuses = [(await rig.status(name))["status"] for name in "ab"]
    assert sorted(statuses) == ["ready", "running"]


async def test_start_waits_for_a_policy_that_loads(data_dir: Path) -> None:
    fake = FakeArms(is_loading=True)
    async with open_rig(data_dir, fake, start_timeout_s=60.0) as rig:
        await rig.create()
        assert (await rig.status())["status"] == "initializing"
        starting = await rig.start_waiting()
        assert not starting.done()
        fake.is_loading = False
        fake.report()
        assert (await starting).status_code == 200
        assert (await rig.status())["status"] == "running"


async def test_start_of_a_policy_that_never_loads_is_504(data_dir: Path) -> None:
    async with open_rig(data_dir, FakeArms(is_loading=True)) as rig:
        await rig.create()
        answer = await rig.verb("start")
        assert answer.status_code == 504 and "initializing" in answer.json()["detail"]
        assert rig.fake.calls == []


async def overtake(rig: Rig, verb: str) -> tuple[httpx.Response, httpx.Response]:
    starting = await rig.start_waiting()
    second = await (rig.http.delete("/sessions/s") if verb == "delete" else rig.verb(verb))
    return await asyncio.wait_for(starting, 20.0), second


async def test_a_stop_or_delete_ends_a_start_that_waits(data_dir: Path) -> None:
    for verb in ("stop", "delete"):
        async with open_rig(data_dir, FakeArms(is_loading=True), start_timeout_s=60.0) as rig:
            if "s" not in rig.services.book:
                await rig.create()
            start, second = await overtake(rig, verb)
            assert (start.status_code, second.status_code) == (409, 200)
            assert rig.fake.calls == []


async def test_a_start_that_gets_no_answer_is_504_and_taken_back(rig: Rig) -> None:
    await rig.create()
    rig.fake.silent_guards.add("arm")
    answer = await rig.verb("start")
    assert answer.status_code == 504
    await until(lambda: rig.fake.calls == [("arm", "start"), ("arm", "stop")])


async def test_a_start_whose_effect_never_shows_is_504_and_taken_back(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    await rig.verb("stop")
    rig.fake.calls.clear()
    rig.fake.report = lambda: None  # type: ignore[method-assign]  # acknowledges, and is never heard of again
    answer = await rig.verb("start")
    assert answer.status_code == 504 and "it is stopped" in answer.json()["detail"]
    await until(lambda: rig.fake.calls == [("arm", "start"), ("arm", "stop")])


async def test_a_guard_that_never_takes_the_session_up_is_not_asked_to_start(rig: Rig) -> None:
    await rig.create()
    rig.fake.report = lambda: None  # type: ignore[method-assign]
    answer = await rig.verb("start")
    assert answer.status_code == 504 and "did not take up" in answer.json()["detail"]
    assert rig.fake.calls == []


async def test_a_guard_that_refuses_is_409_with_its_reason(rig: Rig) -> None:
    await rig.create()
    rig.fake.refusals["arm"] = "No joint state has arrived."
    answer = await rig.verb("start")
    assert answer.status_code == 409 and answer.json()["detail"] == "No joint state has arrived."
    assert (await rig.status())["status"] == "ready"


async def test_a_stop_that_shows_no_effect_is_504(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.silent_guards.add("arm")
    assert (await rig.verb("stop")).status_code == 504
    assert (await rig.http.delete("/sessions/s")).status_code == 504
    assert (await rig.status())["status"] == "running"


async def test_a_dead_guard_reads_stopped_and_its_session_can_be_deleted(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.dead_guards.add("arm")
    rig.clock.advance(5.0)
    rig.fake.report()
    status = await rig.status()
    assert status["status"] == "stopped" and "has not reported for 5 s" in status["error_message"]
    assert (await rig.verb("start")).status_code == 504
    assert (await rig.verb("stop")).status_code == 200
    assert (await rig.http.delete("/sessions/s")).status_code == 200


async def test_a_policy_that_fails_reads_error_holds_and_starts_again_when_replaced(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    rig.fake.fail("s", "The policy threw ValueError: no.", is_loaded=False)
    status = await rig.status()
    assert (status["status"], status["error_message"]) == ("error", "The policy threw ValueError: no.")
    assert rig.fake.guards["arm"].state == STOPPED
    refused = await rig.verb("start")
    assert refused.status_code == 409 and "threw ValueError" in refused.json()["detail"]
    assert (await rig.verb("stop")).status_code == 200
    assert (await rig.status())["status"] == "error"
    rig.fake.fail("s", "The policy threw ValueError: no.")  # replaced: loaded, but not yet forgiven
    await rig.start()
    assert (await rig.status())["status"] == "running"
    rig.fake.fail("s", "again", is_loaded=False)
    assert (await rig.http.delete("/sessions/s")).status_code == 200


async def test_silence_of_all_inputs_reads_timeout(rig: Rig) -> None:
    await rig.create()
    rig.fake.input_idle_s["s"] = 599.0
    rig.fake.report()
    assert (await rig.status())["status"] == "ready"
    rig.fake.input_idle_s["s"] = 600.0
    rig.fake.report()
    status = await rig.status()
    assert status["status"] == "timeout" and "600 s" in status["error_message"]
    rig.fake.input_idle_s["s"] = 0.1
    rig.fake.report()
    await rig.start()


async def test_a_dead_inference_process_is_named_and_start_waits_for_its_return(data_dir: Path) -> None:
    async with open_rig(data_dir, start_timeout_s=60.0) as rig:
        await rig.create()
        await asyncio.sleep(0)  # inference takes it up, and dies
        rig.fake.is_inference_dead = True
        rig.clock.advance(20.0)
        rig.fake.report()
        status = await rig.status()
        assert status["status"] == "initializing" and "inference process" in status["error_message"]
        assert status["inference_stats"]["is_loaded"] is False
        starting = await rig.start_waiting()
        assert not starting.done()
        rig.fake.is_inference_dead = False
        rig.fake.report()
        assert (await starting).status_code == 200


async def test_a_session_stopped_by_its_guard_says_why(rig: Rig) -> None:
    await rig.create()
    await rig.start()
    guard = rig.fake.guards["arm"]
    rig.fake.guards["arm"] = replace(guard, state=STOPPED, message="No action chunk for 1.0 s.")
    rig.fake.report()
    status = await rig.status()
    assert (status["status"], status["error_message"]) == ("stopped", "No action chunk for 1.0 s.")


async def test_an_old_report_does_not_speak_for_a_new_session_of_the_same_id(rig: Rig) -> None:
    await rig.create()
    await rig.http.delete("/sessions/s")
    rig.fake.is_inference_dead = True
    await rig.create()
    status = await rig.status()
    assert status["status"] == "initializing" and status["inference_stats"] is None
