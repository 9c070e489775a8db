# SPDX-License-Identifier: Apache-2.0
"""The detector of `arena train-demo`: which episodes fit it, which calibrate it, and when there is none."""

import numpy as np
import pytest

from lerobot_arena.inference.scores.conformal import conformal_threshold
from lerobot_arena.inference.scores.detector_file import read_detector
from lerobot_arena.platform.training.dataset import Frames
from lerobot_arena.platform.training.detector import write_demo_detector
from lerobot_arena.testing.scenes import episode

STEPS = 24


def recorded(episodes: int) -> Frames:
    random = np.random.default_rng(0)
    moments = [moment for _ in range(episodes) for moment in episode(random, steps=STEPS)]
    images = np.stack([frames["front"] for frames, _ in moments])
    states = np.stack([state for _, state in moments]).astype(np.float32)
    ends = np.repeat(np.arange(1, episodes + 1) * STEPS, STEPS)
    return Frames(images, states, states, ends, {})


@pytest.mark.parametrize(("episodes", "held_out", "alpha"), [(25, 10, 1 / 11), (50, 20, 1 / 21)])
def test_it_is_fitted_on_some_episodes_and_calibrated_on_the_others(tmp_path, episodes, held_out, alpha):
    frames = recorded(episodes)
    said = write_demo_detector(frames, tmp_path)
    detector = read_detector(tmp_path)
    assert detector is not None and detector.calibration is not None
    assert said == f"ood: calibrated on {held_out} episodes, alpha {alpha:g}"
    assert detector.frames == (episodes - held_out) * STEPS / 3
    assert detector.calibration.alpha == pytest.approx(alpha)
    others = [index for index in range(episodes) if index % 5 in (1, 3)]
    distances = [
        [
            detector.distance({"front": frames.images[step]}, frames.states[step])
            for step in range(index * STEPS, (index + 1) * STEPS)
        ]
        for index in others
    ]
    assert detector.calibration.threshold == pytest.approx(conformal_threshold(distances, alpha), rel=1e-6)


@pytest.mark.parametrize("episodes", [1, 20])
def test_too_few_episodes_give_none_and_say_what_it_takes(tmp_path, episodes):
    said = write_demo_detector(recorded(episodes), tmp_path)
    assert said == f"ood: none, a threshold takes 9 held-out episodes and there are {episodes * 2 // 5}"
    assert read_detector(tmp_path) is None
