# SPDX-License-Identifier: Apache-2.0
"""The detector: what it notices, what it does not, and which files it is read from."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput, NotFound, PolicyError
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.inference.area import area_average, repeat_to
from lerobot_arena.inference.scores.calibrate import calibrate
from lerobot_arena.inference.scores.detector import Detector
from lerobot_arena.inference.scores.detector_file import (
    FILE_NAME,
    MAX_BYTES,
    describe_detector,
    read_detector,
    write_detector,
)
from lerobot_arena.inference.scores.features import Layout
from lerobot_arena.inference.scores.fitting import FEWEST_FRAMES, fit_detector, shrunk_covariance
from lerobot_arena.inference.scores.protocol import HIGHEST
from lerobot_arena.testing.scenes import Moment, episode, fitted, picture

SIZE = 32


@pytest.fixture(scope="module")
def detector() -> Detector:
    return fitted(size=SIZE)


def alarms(detector: Detector, moments: list[Moment]) -> float:
    assert detector.calibration is not None
    threshold = detector.calibration.threshold
    return float(np.mean([detector.distance(*moment) > threshold for moment in moments]))


def fresh(count: int = 10) -> list[Moment]:
    random = np.random.default_rng(99)
    return [moment for _ in range(count) for moment in episode(random, size=SIZE)]


def changed(change) -> list[Moment]:
    return [
        ({"front": np.clip(change(frames["front"].astype(float)), 0, 255).astype(np.uint8)}, state)
        for frames, state in fresh()
    ]


def test_more_of_the_same_is_no_alarm(detector):
    """Ten of a hundred episodes may have one; the calibration is of 19 only."""
    assert alarms(detector, fresh(50)) <= 0.1


@pytest.mark.parametrize(
    "change",
    [lambda p: p * 0, lambda p: p * 0 + 128, lambda p: p * 0.8, lambda p: p * 1.2, lambda p: p * [1.15, 1, 0.85],
     lambda p: p + np.random.default_rng(0).normal(0, 15, p.shape), lambda p: p[::-1]],
    ids=["covered", "grey", "darker", "brighter", "warmer", "noise", "upside down"],
)  # fmt: skip
def test_another_picture_is_an_alarm(detector, change):
    assert alarms(detector, changed(change)) >= 0.95


def test_joints_where_they_never_were_are_an_alarm(detector):
    assert alarms(detector, [(frames, state + 200) for frames, state in fresh()]) == 1.0


def test_a_picture_that_contradicts_the_joints_is_an_alarm_though_either_alone_is_usual(detector):
    random = np.random.default_rng(5)
    left, right = ({"front": picture(place, SIZE)} for place in (0.1, 0.9))
    states = [np.concatenate([[200 * place - 100], random.normal(0, 5, 5)]) for place in (0.1, 0.9)]
    assert alarms(detector, [(left, states[0]), (right, states[1])]) == 0.0
    assert alarms(detector, [(left, states[1]), (right, states[0])]) == 1.0


@pytest.mark.parametrize("joints", [0, 1, 17])
def test_it_takes_any_number_of_joints(joints):
    """None; and so many that their products are left out."""
    random = np.random.default_rng(1)
    layout = Layout((("front", SIZE, SIZE),), joints)
    some = [({"front": picture(random.uniform(), SIZE)}, random.normal(0, 9, joints)) for _ in range(150)]
    fit = fit_detector(layout, some, unit=NORMALIZED)
    assert fit.distance(*some[0]) < 3 < fit.distance({"front": picture(0.5, SIZE) // 4}, some[0][1])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -1e300])
@pytest.mark.parametrize("joint", [0, 5])
def test_joints_that_are_no_numbers_are_as_far_as_can_be(detector, odd, joint):
    (frames, state), *_ = fresh(1)
    state = state.copy()
    state[joint] = odd
    assert detector.distance(frames, state) == HIGHEST


def test_what_never_varied_is_not_known_better_than_a_sensor_can_tell():
    """One more level of brightness everywhere, against training pictures that are all one picture."""
    flat = np.full((SIZE, SIZE, 3), 100, np.uint8)
    layout = Layout((("front", SIZE, SIZE),), 6)
    fit = fit_detector(layout, [({"front": flat}, np.zeros(6))] * FEWEST_FRAMES, unit=NORMALIZED)
    assert np.isfinite(fit.distance({"front": flat + 1}, np.full(6, 0.5)))
    assert fit.distance({"front": flat + 50}, np.zeros(6)) > fit.distance({"front": flat + 1}, np.zeros(6))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_live_frame_counts_as_the_recorded_one_it_shrinks_to(detector, seed):
    """Bit for bit, so that a threshold set on a dataset holds on the robot."""
    random = np.random.default_rng(seed)
    live = random.integers(0, 256, (5 * SIZE, 4 * SIZE, 3), dtype=np.uint8)
    recorded, state = area_average(live, SIZE, SIZE), random.normal(0, 50, 6)
    assert detector.distance({"front": live}, state) == detector.distance({"front": recorded}, state)


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (16, 17), (17, 17)])
def test_the_largest_blocks_do_not_overflow(rows, columns):
    white = np.full((2, 3, 3), 255, np.uint8)
    assert (area_average(repeat_to(white, 2 * rows, 3 * columns), 2, 3) == 255).all()


def test_a_covariance_of_few_samples_is_shrunk_and_one_of_many_hardly():
    """Of independent noise all but nothing of the sample's accidents is left; of clear structure nearly all."""
    random = np.random.default_rng(0)
    few = np.linalg.eigvalsh(shrunk_covariance(random.normal(0, 1, (150, 100))))
    assert few.max() / few.min() < 1.5, "of the sample alone: about 60"
    clear = random.normal(0, 1, (20_000, 3)) * [10.0, 1.0, 0.1]
    np.testing.assert_allclose(np.diag(shrunk_covariance(clear)), clear.var(axis=0), rtol=0.01, atol=0.01)


def test_too_little_to_fit_on_is_refused():
    with pytest.raises(InvalidInput, match=f"at least {FEWEST_FRAMES} frames; there are 20"):
        fit_detector(Layout((("front", SIZE, SIZE),), 6), fresh(1), unit=NORMALIZED)
    with pytest.raises(InvalidInput, match="15×64; the detector needs at least 16×16"):
        Layout((("front", 64, 15),), 6)


def test_an_observation_takes_two_milliseconds_at_most():
    """A camera as the demo's: 640×480, trained at 128×96. Computing time, whatever else the machine does."""
    random = np.random.default_rng(0)
    frame = random.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    layout = Layout((("front", 96, 128),), 6)
    shrunk = [({"front": area_average(np.roll(frame, i, axis=0), 96, 128)}, np.zeros(6)) for i in range(100)]
    fit = fit_detector(layout, shrunk, unit=NORMALIZED)
    times = []
    for _ in range(30):
        started = time.thread_time()
        fit.distance({"front": frame}, np.zeros(6))
        times.append(time.thread_time() - started)
    assert min(times) < 4e-3, "twice what it may take, for caches that others use"


# The file


def test_it_is_read_as_it_was_written(detector, tmp_path):
    path = write_detector(tmp_path, detector)
    assert path.name == FILE_NAME and path.stat().st_size < 1e6
    assert [found.name for found in tmp_path.iterdir()] == [FILE_NAME], "no half-written file is left"
    read = read_detector(tmp_path)
    assert read is not None and read.calibration == detector.calibration
    for moment in fresh(1):
        assert read.distance(*moment) == pytest.approx(detector.distance(*moment), rel=1e-6)
    assert describe_detector(tmp_path) == "ood: calibrated on 19 episodes, alpha 0.1"


def test_a_folder_without_one_has_none(tmp_path):
    assert read_detector(tmp_path) is None and describe_detector(tmp_path) == ""


def test_without_a_threshold_it_is_not_written(tmp_path):
    layout = Layout((("front", SIZE, SIZE),), 6)
    with pytest.raises(InvalidInput, match="calibrate it"):
        write_detector(tmp_path, fit_detector(layout, fresh(), unit=NORMALIZED))
    assert not list(tmp_path.iterdir())


def test_own_recordings_set_a_threshold_of_their_own(detector, tmp_path):
    """Of a camera that is a little brighter than the one of the training data."""
    path = write_detector(tmp_path, detector)
    random = np.random.default_rng(3)
    bright = [
        [
            ({"front": np.clip(frames["front"] * 1.15, 0, 255).astype(np.uint8)}, state)
            for frames, state in one
        ]
        for one in (episode(random, size=SIZE) for _ in range(12))
    ]
    assert alarms(detector, bright[0]) == 1.0
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="takes 9 successful episodes"):
        calibrate(tmp_path, bright[:5], alpha=0.1)
    assert path.read_bytes() == before
    found = calibrate(tmp_path, bright[:11], alpha=0.1)
    read = read_detector(tmp_path)
    assert read is not None and read.calibration == found and len(found.maxima) == 11
    assert alarms(read, bright[11]) <= 0.1


def test_without_a_detector_there_is_nothing_to_calibrate(tmp_path):
    with pytest.raises(NotFound, match="came without a detector"):
        calibrate(tmp_path, [], alpha=0.1)


class Rewritten:
    """The file's tensors and description, to be spoilt."""

    def __init__(self, folder: Path, detector: Detector) -> None:
        from safetensors import safe_open

        self.path = write_detector(folder, detector)
        with safe_open(str(self.path), "numpy") as file:
            self.about = json.loads(file.metadata()["detector"])
            self.tensors = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118

    def write(self) -> None:
        from safetensors.numpy import save_file

        save_file(self.tensors, self.path, {"detector": json.dumps(self.about)})


def _set_about(**changes):
    return lambda file: file.about.update(changes)


def _fill(name, value):
    return lambda file: file.tensors[name].fill(value)


def _cut(name):
    return lambda file: file.tensors.update({name: file.tensors[name][:-1]})


SPOILT = {
    "format": (_set_about(format="lerobot_arena.ood/9"), "this version reads"),
    "unknown key": (_set_about(code="import os"), "unknown key 'code'"),
    "no cameras": (_set_about(cameras=None), "cameras must be"),
    "other camera": (_set_about(cameras={"front": [SIZE, SIZE], "side": [SIZE, SIZE]}), "side.weights is missing"),
    "renamed camera": (_set_about(cameras={"side": [SIZE, SIZE]}), "side.weights is missing"),
    "tiny camera": (_set_about(cameras={"front": [2, 2]}), "at least 16×16"),
    "size of another kind": (_set_about(cameras={"front": "large"}), "has the size"),
    "huge size": (_set_about(cameras={"front": [10**9, 10**9]}), "1 to 8192"),
    "many cameras": (_set_about(cameras={f"c{i}": [96, 96] for i in range(99)}), "99 cameras"),
    "nothing to see": (_set_about(cameras={}, joints=0), "neither cameras nor joints"),
    "other joints": (_set_about(joints=7), "centre is"),
    "huge joints": (_set_about(joints=10**9), "joints must be"),
    "other episodes": (_set_about(episodes=18), "maxima is"),
    "huge episodes": (_set_about(episodes=10**9), "episodes must be"),
    "alpha too small": (_set_about(alpha=0.01), "takes 99 successful episodes"),
    "alpha of another kind": (_set_about(alpha="0.1"), "alpha must be"),
    "not finite": (_fill("joints.whitening", np.nan), "not finite"),
    "endless maxima": (_fill("maxima", np.inf), "not finite"),
    "no reference": (_fill("joints.reference", 0.0), "not above 0"),
    "no scale": (_fill("scale", 0.0), "scale has values"),
    "centre not finite": (_fill("centre", np.nan), "not finite"),
    "short weights": (_cut("joints.weights"), "joints.weights is"),
    "flat whitening": (_cut("colour:front.whitening"), "whitening is"),
    "missing tensor": (lambda file: file.tensors.pop("joints.weights"), "joints.weights is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_that_does_not_add_up_is_refused_with_what_to_do(detector, tmp_path, name):
    spoil, message = SPOILT[name]
    file = Rewritten(tmp_path, detector)
    spoil(file)
    file.write()
    with pytest.raises(PolicyError, match=message) as refused:
        read_detector(tmp_path)
    assert str(file.path) in str(refused.value) and "Fit it again" in str(refused.value)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused(detector, tmp_path, kept):
    path = write_detector(tmp_path, detector)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PolicyError, match=FILE_NAME):
        read_detector(tmp_path)


def test_a_large_file_is_not_even_read(tmp_path):
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PolicyError, match=f"more than {MAX_BYTES}"):
        read_detector(tmp_path)
