# SPDX-License-Identifier: Apache-2.0
"""The scores of the shipped demo in its simulator: quiet while it works, loud when its camera does not see."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.clock import NS
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.inference.inspect import inspect_policy
from lerobot_arena.inference.scores.detector_file import FILE_NAME
from lerobot_arena.inference.scores.protocol import Seen
from lerobot_arena.inference.scores.scoring import Scoring
from lerobot_arena.platform.training.demonstration import CAMERA
from lerobot_arena.platform.training.evaluate import Loop, PolicyDriver

FOLDER = Path(str(resources.files("lerobot_arena") / "models" / "demo"))
WANTED = SessionWanted("demo", "arm", "demo", camera_names=(CAMERA,))


class Recorded:
    """The demo policy; every observation it was asked about is kept."""

    replans = True

    def __init__(self, policy: PolicyDriver) -> None:
        self._policy = policy
        self.seen: list[Seen] = []

    def chunk(self, scene, look):
        picture = look()
        state = scene.robot.from_radians(scene.joint_positions(), NORMALIZED)
        self.seen.append(Seen(state, {CAMERA: picture}, {CAMERA: round(scene.time_s * NS) + 1}))
        return self._policy.chunk(scene, lambda: picture)


@pytest.fixture(scope="module")
def observed() -> list[Seen]:
    """Two episodes, one observation each half second."""
    loop = Loop(load_robot("so101"))
    try:
        driver = Recorded(PolicyDriver(FOLDER, loop.scene.robot))
        assert all(loop.run(driver, seed) for seed in (800, 801))
        return driver.seen
    finally:
        loop.close()


@pytest.fixture
def scoring() -> Scoring:
    return Scoring(inspect_policy("demo", wanted=WANTED, robot=load_robot("so101")))


def suspicious(scores: tuple[Score, ...]) -> list[str]:
    return [score.name for score in scores if score.value > score.threshold]


def test_the_demo_says_what_its_detector_was_calibrated_on():
    assert (FOLDER / FILE_NAME).stat().st_size < 1e6
    manifest = inspect_policy("demo", wanted=WANTED, robot=load_robot("so101"))
    assert "ood: calibrated on 100 episodes, alpha 0.02" in manifest.sources


def test_a_working_demo_is_not_suspicious(observed, scoring):
    for seen in observed:
        scores = scoring.scores(seen)
        assert [score.name for score in scores] == ["ood", f"frozen:{CAMERA}", f"dark:{CAMERA}"]
        assert suspicious(scores) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [(lambda p: p * 0, {"ood", "dark:front"}), (lambda p: p * 0 + 128, {"ood", "dark:front"}),
     (lambda p: p * 0.8, {"ood"}), (lambda p: p * 1.2, {"ood"}), (lambda p: p * [1.1, 1, 0.9], {"ood"}),
     (lambda p: p + np.random.default_rng(0).normal(0, 40, p.shape), {"ood"})],
    ids=["black", "grey", "darker", "brighter", "warmer", "noise"],
)  # fmt: skip
def test_a_camera_that_sees_something_else_is(observed, scoring, change, expected):
    for seen in observed[::6]:
        changed = np.clip(change(seen.frames[CAMERA].astype(float)), 0, 255).astype(np.uint8)
        scores = scoring.scores(Seen(seen.state, {CAMERA: changed}, seen.received_ns))
        assert expected <= set(suspicious(scores))


def test_a_frozen_camera_is_noticed_within_two_seconds_of_motion(observed, scoring):
    first, *later = observed[:9]
    names = [
        suspicious(scoring.scores(Seen(seen.state, first.frames, seen.received_ns)))
        for seen in (first, *later)
    ]
    assert "frozen:front" not in names[0] and all("frozen:front" in found for found in names[4:])
