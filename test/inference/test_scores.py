# SPDX-License-Identifier: Apache-2.0
"""Camera health, what all scorers have in common, and the way of scores into chunks."""

import time
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import RADIANS
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.manifest import CameraInput, PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.scores.dark import DARK, darkness
from lerobot_arena.inference.scores.detector_file import FILE_NAME, write_detector
from lerobot_arena.inference.scores.frozen import FROZEN_S
from lerobot_arena.inference.scores.frozen import make as make_frozen
from lerobot_arena.inference.scores.protocol import Scorer, Seen
from lerobot_arena.inference.scores.scoring import Scoring
from lerobot_arena.inference.scores.table import SCORERS
from lerobot_arena.inference.worker_client import WorkerClient, WorkerOptions
from lerobot_arena.testing.inference_rig import Rig, joints, session, wait_for
from lerobot_arena.testing.policy_folders import JOINTS, SIZE, write_onnx, write_replay
from lerobot_arena.testing.scenes import fitted, picture

STILL = np.zeros(6)


def manifest(path: Path = Path(), unit: str = "normalized", **changes: Any) -> PolicyManifest:
    values: dict[str, Any] = {
        "cameras": (CameraInput("front", "front", SIZE, SIZE, SIZE, SIZE),),
        "state_names": JOINTS,
        **changes,
    }
    return PolicyManifest("onnx", "act", str(path), JOINTS, unit, 30.0, **values)


def seen(frame: np.ndarray, state: np.ndarray = STILL, *, at_s: float = 1.0) -> Seen:
    return Seen(state, {"front": frame}, {"front": round(at_s * NS)})


class Watched:
    """A scorer of frozen cameras, shown one observation after the other."""

    def __init__(self, scorer: Scorer | None) -> None:
        assert scorer is not None
        self._scorer = scorer

    def __call__(self, *given: Any, **named: Any) -> float:
        (score,) = self._scorer.score(seen(*given, **named))
        assert (score.name, score.threshold) == ("frozen:front", FROZEN_S)
        return score.value


@pytest.fixture
def watch() -> Watched:
    return Watched(make_frozen(manifest()))


def test_a_camera_that_repeats_its_picture_while_the_joints_move_is_frozen_since_they_moved(watch):
    same = picture(0.2, SIZE)
    values = [watch(same.copy(), STILL + step, at_s=1 + step / 2) for step in range(6)]
    assert values == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5], "a whole unit is a flicker, more is a movement"
    assert watch(picture(0.9, SIZE), STILL + 6, at_s=4.0) == 0.0, "it lives again"


def test_it_stays_frozen_when_the_arm_is_held_because_of_it(watch):
    same = picture(0.2, SIZE)
    watch(same, STILL, at_s=1.0)
    watch(same, STILL + 5, at_s=2.0)
    assert watch(same, STILL + 5, at_s=9.0) == 7.0


def test_a_simulated_scene_at_rest_is_not_frozen(watch):
    for second in range(1, 100):
        assert watch(picture(0.5, SIZE), STILL, at_s=second) == 0.0


def test_a_frame_that_is_asked_for_again_is_no_evidence(watch):
    same = picture(0.2, SIZE)
    for step in range(9):
        assert watch(same, STILL + 9 * step, at_s=1.0) == 0.0


def test_an_older_frame_is_no_evidence_either(watch):
    same = picture(0.2, SIZE)
    watch(same, STILL, at_s=5.0)
    assert watch(same, STILL + 9, at_s=4.0) == 0.0
    assert watch(same, STILL + 9, at_s=6.0) == 1.0
    assert watch(same, STILL + 9, at_s=5.5) == 1.0


@pytest.mark.parametrize("row", [0, 1, SIZE - 1])
def test_one_level_of_one_pixel_is_another_picture(watch, row):
    same = picture(0.2, SIZE)
    watch(same, STILL, at_s=1.0)
    watch(same, STILL + 9, at_s=2.0)
    other = same.copy()
    other[row, SIZE - 1, 2] ^= 1
    assert watch(other, STILL + 9, at_s=9.0) == 0.0


def test_radians_count_as_radians():
    watch = Watched(make_frozen(manifest(unit=RADIANS)))
    same = picture(0.2, SIZE)
    watch(same, STILL, at_s=1.0)
    watch(same, STILL + 0.05, at_s=2.0)
    assert watch(same, STILL, at_s=4.0) == 2.0


def test_without_a_state_each_repetition_counts():
    watch = Watched(make_frozen(manifest(state_names=())))
    assert [watch(picture(0.2, SIZE), np.empty(0), at_s=t) for t in (1.0, 2.0, 3.0)] == [0.0, 1.0, 2.0]


def test_a_new_run_forgets_the_last_one():
    scorer = make_frozen(manifest())
    watch = Watched(scorer)
    same = picture(0.2, SIZE)
    watch(same, STILL, at_s=1.0)
    watch(same, STILL + 9, at_s=2.0)
    scorer.reset()
    assert watch(same, STILL, at_s=9.0) == 0.0


def _noisy(level: float, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(level, sigma, (480, 640, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def _with_hot_pixels() -> np.ndarray:
    black = np.zeros((480, 640, 3), np.uint8)
    black[np.random.default_rng(0).random((480, 640)) < 0.02] = 255
    return black


@pytest.mark.parametrize(
    "shows_nothing",
    [np.zeros((480, 640, 3), np.uint8), np.full((480, 640, 3), 128, np.uint8), np.full((9, 9, 3), 255, np.uint8),
     np.zeros((1, 1, 3), np.uint8), _noisy(6, 3), _noisy(128, 3), _with_hot_pixels(), 255 - _with_hot_pixels()],
    ids=["black", "grey", "white", "one pixel", "covered, noisy", "fogged, noisy", "hot pixels", "dead pixels"],
)  # fmt: skip
def test_a_picture_of_nothing_is_dark(shows_nothing):
    assert DARK < darkness(shows_nothing) <= 1.0


@pytest.mark.parametrize("dimmed", [1.0, 0.5, 0.2])
def test_a_picture_of_something_is_not(dimmed):
    assert 0.0 <= darkness((picture(0.5, 240) * dimmed).astype(np.uint8)) < DARK


def test_the_extremes_of_brightness_are_not_dark_at_all():
    halves = np.zeros((480, 640, 3), np.uint8)
    halves[:, 320:] = 255
    assert darkness(halves) == 0.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("policy")
    write_detector(path, fitted(size=SIZE))
    return path


@pytest.mark.parametrize("name", list(SCORERS))
def test_every_scorer_gives_the_same_finite_scores_by_name_whatever_it_sees(folder, name):
    scorer = SCORERS.load(name)(manifest(folder))
    names = [score.name for score in scorer.score(seen(picture(0.1, SIZE)))]
    assert names == sorted(set(names)) and all(text.partition(":")[0] == name for text in names)
    odd = [np.full(6, value) for value in (np.nan, np.inf, -1e300, 0.0)]
    pictures = [np.zeros((SIZE, SIZE, 3), np.uint8), np.full((SIZE, SIZE, 3), 255, np.uint8)]
    for state in odd:
        for frame in pictures:
            scores = list(scorer.score(seen(frame, state)))
            assert [score.name for score in scores] == names
            assert all(isfinite(score.value) and isfinite(score.threshold) for score in scores)
    scorer.reset()
    assert [score.name for score in scorer.score(seen(picture(0.1, SIZE)))] == names


@pytest.mark.parametrize("name", list(SCORERS))
def test_every_scorer_leaves_what_it_sees_as_it_is(folder, name):
    frame, state = picture(0.1, SIZE), np.arange(6.0)
    frame.flags.writeable = state.flags.writeable = False
    before = frame.copy()
    list(SCORERS.load(name)(manifest(folder)).score(seen(frame, state)))
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize("name", list(SCORERS))
def test_a_policy_that_sees_nothing_and_came_with_nothing_has_no_scores(tmp_path, name):
    assert SCORERS.load(name)(manifest(tmp_path, cameras=())) is None


# Into chunks


def feed(rig: Rig, frame: np.ndarray, values: list[float]) -> None:
    found = rig.engine.session("a")
    assert found is not None
    found.take_joints(joints(values))
    found.take_frame("front", time.time_ns(), time.monotonic_ns(), lambda: frame)


@pytest.fixture
def scored(rig: Rig, tmp_path: Path) -> Callable[..., dict[str, tuple[float, float]]]:
    """Ask the policy of a folder with a detector: name → (value, threshold)."""
    write_detector(write_onnx(tmp_path / "policy"), fitted(size=SIZE))
    rig.want(session("a", str(tmp_path / "policy")))
    rig.ready("a")

    def ask(frame: np.ndarray, values: list[float], *, reset: bool = False) -> dict[str, tuple[float, float]]:
        feed(rig, frame, values)
        chunk = rig.answer(rig.request("a", reset=reset))
        assert chunk.stage_ms["scores"] > 0
        return {score.name: (score.value, score.threshold) for score in chunk.scores}

    return ask


def test_a_chunk_carries_the_scores_of_its_own_observation(rig, scored):
    home = [0.0] * 6
    clean = scored(picture(0.5, SIZE), home, reset=True)
    assert sorted(clean) == ["dark:front", "frozen:front", "ood"]
    assert all(value <= threshold for value, threshold in clean.values())
    covered = scored(np.zeros((SIZE, SIZE, 3), np.uint8), home)
    assert covered["ood"][0] > covered["ood"][1] == clean["ood"][1]
    assert covered["dark:front"][0] > covered["dark:front"][1]
    scored(picture(0.5, SIZE), home)
    scored(picture(0.5, SIZE), [50.0, *home[1:]])
    time.sleep(0.05)  # for so long the picture is frozen
    assert 0.05 <= scored(picture(0.5, SIZE), home)["frozen:front"][0] < 5.0
    assert scored(picture(0.5, SIZE), home, reset=True)["frozen:front"][0] == 0.0
    assert "ood: calibrated on 19 episodes, alpha 0.1" in rig.status("a").metadata_sources


def test_a_detector_of_other_cameras_is_refused_with_the_difference(rig, tmp_path):
    write_detector(write_onnx(tmp_path / "policy"), fitted(size=64, joints=5))
    rig.want(session("a", str(tmp_path / "policy")))
    wait_for(lambda: rig.status("a").error_message, "a refusal")
    said = rig.status("a").error_message
    assert "fitted for front 64×64 and 5 joints" in said and f"sees front {SIZE}×{SIZE} and 6 joints" in said


def test_a_detector_whose_camera_cannot_be_shrunk_to_what_it_was_trained_on_is_refused(folder):
    odd = manifest(folder, cameras=(CameraInput("front", "front", 50, 50, SIZE, SIZE),))
    with pytest.raises(PolicyError, match="no whole blocks"):
        Scoring(odd)


def test_of_several_observations_the_newest_is_scored(rig, tmp_path):
    cameras = {"front": {"height": SIZE, "width": SIZE}}
    rig.want(session("a", write_replay(tmp_path / "two.json", cameras=cameras, n_obs_steps=2)))
    rig.ready("a")
    feed(rig, picture(0.5, SIZE), [0.0] * 6)
    time.sleep(0.05)  # so that the second is the newer one
    feed(rig, np.zeros((SIZE, SIZE, 3), np.uint8), [0.0] * 6)
    scores = {score.name: score.value for score in rig.answer(rig.request("a", reset=True)).scores}
    assert scores["dark:front"] == 1.0


def test_a_broken_detector_is_refused_before_a_session_exists(tmp_path):
    folder = write_onnx(tmp_path / "policy")
    (folder / FILE_NAME).write_bytes(b"\xff" * 40)
    wanted = SessionWanted("a", "virtual/a", str(folder), is_virtual=True, camera_names=("front",))
    with pytest.raises(PolicyError, match=FILE_NAME):
        inspect_policy(str(folder), wanted=wanted, robot=None)


def test_a_policy_without_a_detector_has_no_ood_score_but_camera_health(rig, tmp_path):
    rig.want(session("a", str(write_onnx(tmp_path / "policy"))))
    rig.ready("a")
    chunk = rig.ask("a", [0.0] * 6)
    assert sorted(score.name for score in chunk.scores) == ["dark:front", "frozen:front"]
    assert not any("ood" in source for source in rig.status("a").metadata_sources)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[WorkerClient]:
    """Answers with the state it is shown, two seconds later."""
    path = write_replay(tmp_path / "slow.json", faults={"delay_ms": 2000})
    manifest = inspect_policy(path, wanted=session("s", path), robot=None)
    client = WorkerClient(manifest, WorkerOptions(nice=0, threads=1))
    client.load(manifest)
    yield client
    client.kill()


def test_scores_are_computed_while_the_policy_computes(client):
    began = time.perf_counter()
    answer = client.infer(
        "s", [PolicyInput(np.full(6, 3.0))], meanwhile=lambda: time.sleep(1.9)
    )  # as long as the policy
    assert time.perf_counter() - began < 3.5, "one after the other they take 3.9 s"
    assert (answer.chunk == 3.0).all()


def test_scores_that_fail_do_not_mix_up_the_answers(client):
    with pytest.raises(ZeroDivisionError):
        client.infer("s", [PolicyInput(np.full(6, 1.0))], meanwhile=lambda: 1 / 0)
    assert (client.infer("s", [PolicyInput(np.full(6, 2.0))]).chunk == 2.0).all()
