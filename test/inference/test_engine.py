# SPDX-License-Identifier: Apache-2.0
"""Sessions on real worker processes: what one policy does to itself stays with it."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import psutil
import pytest

from lerobot_arena.testing.inference_rig import Rig, frame, joints, session, wait_for
from lerobot_arena.testing.policy_folders import JOINTS, SIZE, write_onnx, write_replay

STATE = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ends while it is looked at
            if "lerobot_arena.inference.worker" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_a_session_that_nothing_tells_the_joints_of_says_so(rig: Rig) -> None:
    rig.want(session("one", "hold"))
    assert wait_for(lambda: rig.status("one").status == "error", "an error")
    assert "set joint_names" in rig.status("one").error_message


def test_hold_answers_with_the_state(rig: Rig) -> None:
    rig.want(session("one", "hold", joint_names=JOINTS, camera_names=(), rate_hz=20.0))
    rig.ready("one")
    chunk = rig.ask("one", STATE, reset=True)
    assert chunk.actions.shape == (30, 6)
    assert np.array_equal(chunk.actions[0], STATE)
    assert (chunk.joint_names, chunk.unit, chunk.dt_s, chunk.execute_steps) == (
        JOINTS,
        "normalized",
        0.05,
        15,
    )
    assert (chunk.epoch, chunk.sequence) == (1, 1)
    assert 0 <= chunk.observation_age_s < 5
    assert {"queue", "sync", "copy", "network", "total"} <= set(chunk.stage_ms)
    status = rig.status("one")
    assert (status.status, status.inference_count, status.joints_received) == ("ready", 1, 1)
    assert {stage.name for stage in status.stages} >= {"sync", "network", "total"}


def test_partial_updates_merge_and_the_latest_input_reaches_the_policy(rig: Rig, tmp_path: Path) -> None:
    folder = write_onnx(tmp_path / "onnx")
    rig.want(session("one", str(folder)))
    rig.ready("one")
    rig.feed("one", STATE, brightness=7)
    found = rig.engine.session("one")
    assert found is not None
    found.take_joints(joints([-40.0], ("wrist_roll",)))
    chunk = rig.answer(rig.request("one", reset=True))
    assert np.allclose(chunk.actions[0], [8.0, 9.0, 10.0, 11.0, -33.0, 13.0])
    assert chunk.execute_steps == 3


def test_before_every_joint_was_named_there_is_no_observation(rig: Rig, tmp_path: Path) -> None:
    rig.want(session("one", write_replay(tmp_path / "r.json"), camera_names=()))
    rig.ready("one")
    found = rig.engine.session("one")
    assert found is not None
    found.take_joints(joints([1.0, 2.0], ("shoulder_pan", "gripper")))
    rig.request("one", reset=True)
    reason = wait_for(lambda: rig.status("one").miss_reason, "a miss")
    assert "never named: shoulder_lift, elbow_flex, wrist_flex, wrist_roll" in reason
    assert rig.chunks == []


def test_a_frame_of_another_size_is_refused_with_both_sizes(rig: Rig, tmp_path: Path) -> None:
    rig.want(session("one", str(write_onnx(tmp_path / "onnx"))))
    rig.ready("one")
    found = rig.engine.session("one")
    assert found is not None
    found.take_joints(joints(STATE))
    found.take_frame("front", time.time_ns(), time.monotonic_ns(), lambda: np.zeros((48, 64, 3), np.uint8))
    rig.request("one", reset=True)
    reason = wait_for(lambda: rig.status("one").miss_reason, "a miss")
    assert "64×48" in reason
    assert "32×32" in reason


@pytest.mark.parametrize(
    ("faults", "expected"),
    [({"throw_at": 2}, "threw at call 2"), ({"exit_at": 2}, "exit code 17"), ({"hang_at": 2}, "hung")],
)
def test_a_failure_is_an_error_of_its_session_only_until_a_start(
    make_rig: Callable[..., Rig], tmp_path: Path, faults: dict[str, int], expected: str
) -> None:
    rig = make_rig(infer_timeout_s=2.0 if "hang_at" in faults else 30.0)
    bad = session("bad", write_replay(tmp_path / "bad.json", faults=faults), camera_names=())
    good = session("good", write_replay(tmp_path / "good.json"), camera_names=())
    rig.want(bad, good)
    rig.ready("bad", "good")
    rig.ask("bad", STATE, reset=True)
    rig.feed("bad", STATE)
    rig.request("bad")
    message = wait_for(
        lambda: rig.status("bad").status == "error" and rig.status("bad").error_message, "the error"
    )
    assert expected in message
    assert rig.status("bad").errors == 1
    assert rig.ask("good", STATE, reset=True).actions.shape == (5, 6)
    assert rig.status("good").status == "ready"

    rig.ready("bad")
    misses = rig.status("bad").misses
    rig.feed("bad", STATE)
    rig.request("bad")
    assert rig.status("bad").misses == misses + 1, "without a reset the error stays"
    assert rig.status("bad").status == "error"
    assert rig.ask("bad", STATE, reset=True).session_id == "bad"
    assert rig.status("bad").status == "ready"
    assert rig.status("bad").error_message == ""


def test_kill_9_while_idle_is_noticed_and_the_worker_replaced(rig: Rig, tmp_path: Path) -> None:
    rig.want(session("one", write_replay(tmp_path / "r.json"), camera_names=()))
    rig.ready("one")
    (victim,) = workers()
    os.kill(victim.pid, signal.SIGKILL)
    wait_for(lambda: rig.status("one").status == "error", "the error")
    assert "SIGKILL" in rig.status("one").error_message
    rig.ready("one")
    (replacement,) = workers()
    assert replacement.pid != victim.pid
    assert rig.ask("one", STATE, reset=True).horizon == 5


def test_a_hang_does_not_delay_another_policy(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig(infer_timeout_s=30.0)
    rig.want(
        session("hung", write_replay(tmp_path / "hung.json", faults={"hang_at": 1}), camera_names=()),
        session("quick", write_replay(tmp_path / "quick.json"), camera_names=()),
    )
    rig.ready("hung", "quick")
    rig.feed("hung", STATE)
    rig.request("hung", reset=True)
    started = time.monotonic()
    for _ in range(20):
        rig.ask("quick", STATE)
    assert time.monotonic() - started < 20.0, "the hang lasts 30 s"
    assert rig.status("quick").inference_count == 20


def test_sessions_of_one_policy_share_a_process_and_take_turns(rig: Rig, tmp_path: Path) -> None:
    path = write_replay(tmp_path / "slow.json", faults={"delay_ms": 30})
    names = ("a", "b", "c")
    rig.want(*(session(name, path, camera_names=()) for name in names))
    rig.ready(*names)
    assert len(workers()) == 1
    for name in names:
        rig.feed(name, STATE)
    stop = threading.Event()

    def keep_asking(name: str) -> None:
        while not stop.is_set():
            rig.request(name)
            time.sleep(0.005)  # each asks much faster than is answered

    threads = [threading.Thread(target=keep_asking, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(rig.chunks) >= 30, "30 answers")
    stop.set()
    for thread in threads:
        thread.join()
    counts = [sum(chunk.session_id == name for chunk in rig.chunks[:30]) for name in names]
    assert max(counts) - min(counts) <= 2, counts
    assert [c.session_id for c in rig.chunks[:30]].count("a") >= 9


def test_only_the_newest_waiting_request_is_answered_and_a_reset_is_not_lost(
    rig: Rig, tmp_path: Path
) -> None:
    rows = [[float(i)] * 6 for i in range(200)]
    path = write_replay(tmp_path / "slow.json", faults={"delay_ms": 200}, actions=rows, fps=10.0)
    rig.want(session("one", path, camera_names=()))
    rig.ready("one")
    rig.feed("one", STATE)
    rig.request("one", reset=True)
    time.sleep(0.3)  # the first is answered, and the replay is where that leaves it
    rig.feed("one", STATE)
    rig.request("one")
    time.sleep(0.05)  # of the 200 ms that it takes: the next ones wait
    skipped = rig.request("one", reset=True, epoch=2)
    last = rig.request("one", epoch=2)
    chunk = rig.answer(last)
    assert skipped not in [c.request_sequence for c in rig.chunks]
    assert chunk.epoch == 2
    assert chunk.actions[0][0] == 0.0, "the replay began anew"


def test_deleting_a_session_ends_its_process_and_frees_the_id(rig: Rig, tmp_path: Path) -> None:
    path = write_replay(tmp_path / "r.json")
    rig.want(session("one", path, camera_names=()))
    rig.ready("one")
    rig.want()
    assert rig.engine.status().sessions == ()
    wait_for(lambda: not workers(), "the process to end")
    rig.want(session("one", path, camera_names=()))
    rig.ready("one")
    assert rig.status("one").inference_count == 0


def test_a_changed_session_is_renewed_and_a_selection_is_not(rig: Rig, tmp_path: Path) -> None:
    path = write_replay(tmp_path / "r.json")
    rig.want(session("one", path, camera_names=()))
    rig.ready("one")
    rig.ask("one", STATE, reset=True)
    rig.want(session("one", path, camera_names=(), is_selected=True))
    assert rig.status("one").inference_count == 1
    rig.want(session("one", path, camera_names=(), rate_hz=10.0))
    rig.ready("one")
    assert rig.status("one").inference_count == 0
    assert rig.ask("one", STATE, reset=True).dt_s == pytest.approx(0.1)


def test_what_cannot_be_loaded_says_what_to_do_and_disturbs_nobody(rig: Rig, tmp_path: Path) -> None:
    write_onnx(tmp_path / "bad", ones=[float("nan")] * 30)
    rig.want(
        session("missing", str(tmp_path / "nowhere")),
        session("not_finite", str(tmp_path / "bad")),
        session("good", write_replay(tmp_path / "r.json"), camera_names=()),
    )
    wait_for(lambda: rig.status("missing").status == "error", "an error")
    assert "does not exist" in rig.status("missing").error_message
    wait_for(lambda: rig.status("not_finite").status == "error", "an error")
    assert "'ones' are not finite" in rig.status("not_finite").error_message
    assert not rig.status("not_finite").is_loaded
    rig.ready("good")
    assert rig.ask("good", STATE, reset=True).horizon == 5


def test_an_answer_that_is_not_finite_never_leaves(rig: Rig, tmp_path: Path) -> None:
    rig.want(session("one", str(write_onnx(tmp_path / "onnx", last_op="Div", ones=[0.0] * 30))))
    rig.ready("one")
    rig.feed("one", STATE)
    rig.request("one", reset=True)
    wait_for(lambda: rig.status("one").status == "error", "the error")
    assert "not finite" in rig.status("one").error_message
    assert rig.chunks == []


def test_one_frame_and_one_joint_message_then_silence_gives_no_answer_for_long(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make_rig(stale_s=0.4)
    rig.want(session("one", str(write_onnx(tmp_path / "onnx"))))
    rig.ready("one")
    rig.ask("one", STATE, reset=True)
    time.sleep(0.5)  # past what is stale
    late = rig.request("one")
    reason = wait_for(lambda: rig.status("one").miss_reason, "a miss")
    assert "is stale" in reason
    assert late not in [chunk.request_sequence for chunk in rig.chunks]
    rig.ask("one", STATE)
    assert rig.status("one").miss_reason == "", "it goes on by itself when the input is back"


def test_an_arms_frame_from_the_future_is_refused(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    arm = session("one", str(write_onnx(tmp_path / "onnx")), arm="arm", is_virtual=False)
    robot = tmp_path / "robot.yaml"
    shipped = (resources.files("lerobot_arena") / "robots" / "so101.yaml").read_text()
    robot.write_text(re.sub(r"width: \d+, height: \d+", f"width: {SIZE}, height: {SIZE}", shipped))
    rig = make_rig(robot=str(robot))
    rig.want(arm)
    rig.ready("one")
    found = rig.engine.session("one")
    assert found is not None
    found.take_joints(joints([0.1] * 6, unit="radians"))
    ahead = time.time_ns() + 5_000_000_000
    found.take_frame("front", ahead, time.monotonic_ns(), lambda: frame(7))
    rig.request("one", reset=True)
    assert "in the future" in wait_for(lambda: rig.status("one").miss_reason, "a miss")


def test_more_sessions_than_allowed_are_refused_by_name(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig(max_sessions=1)
    path = write_replay(tmp_path / "r.json")
    rig.want(session("first", path, camera_names=()))
    rig.ready("first")
    rig.want(session("first", path, camera_names=()), session("second", path, camera_names=()))
    wait_for(lambda: rig.status("second").status == "error", "the refusal")
    assert "max_sessions" in rig.status("second").error_message
    assert rig.status("first").status == "ready"


def test_recording_stores_what_the_policy_was_given(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig(record_dir=str(tmp_path / "seen"))
    rig.want(session("one", str(write_onnx(tmp_path / "onnx"))))
    rig.ready("one")
    rig.ask("one", STATE, reset=True)
    (file,) = (tmp_path / "seen").glob("*.npz")
    with np.load(file, allow_pickle=False) as seen:
        assert np.array_equal(seen["state"], STATE)
        assert (seen["frame_front"] == 7).all()
