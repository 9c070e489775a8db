# SPDX-License-Identifier: Apache-2.0
"""Demonstrations as a LeRobotDataset on disk, and back as the arrays a training loop draws from."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.embodiment.simulation.task import TASK_TEXT
from lerobot_arena.platform.training.demonstration import (
    CAMERA,
    FPS,
    POOLED_HEIGHT,
    POOLED_WIDTH,
    Demonstration,
)

STATE, ACTION = "observation.state", "action"
IMAGE = f"observation.images.{CAMERA}"
REPO_ID = "local/arena_demo"
_STATS = ("min", "max", "mean", "std")


@dataclass(frozen=True, slots=True)
class Frames:
    """All frames of a dataset, one after the other; `ends[i]` is one past the last frame of i's episode.

    images N×H×W×3 uint8; states and actions N×D float32 in normalized units; stats by feature.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    ends: NDArray[np.int64]
    stats: dict[str, dict[str, NDArray[Any]]]

    def chunk(self, index: int, length: int) -> NDArray[np.float32]:
        """The `length` actions from frame `index` on. The last one of an episode is repeated: then it stays put."""
        steps = np.minimum(np.arange(index, index + length), self.ends[index] - 1)
        return self.actions[steps]


def write_dataset(demonstrations: Iterable[Demonstration], root: Path, robot: RobotSpec) -> Any:
    """Write a new LeRobotDataset under `root`, images as PNG. `root` must not exist yet. Returns it."""
    from datasets import disable_progress_bars
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    disable_progress_bars()  # one for every episode, across our own
    # Naming a decoder that nobody uses spares LeRobot its search for another, which fails in a hundred lines.
    dataset = LeRobotDataset.create(
        REPO_ID,
        FPS,
        features(robot),
        root=root,
        robot_type=robot.name,
        use_videos=False,
        video_backend="pyav",
    )
    for demonstration in demonstrations:
        for image, state, action in zip(
            demonstration.images, demonstration.states, demonstration.actions, strict=True
        ):
            dataset.add_frame({IMAGE: image, STATE: state, ACTION: action, "task": TASK_TEXT})
        dataset.save_episode()
    dataset.finalize()
    return dataset


def features(robot: RobotSpec) -> dict[str, dict[str, Any]]:
    """LeRobot's description of our features."""
    names = [f"{name}.pos" for name in robot.joint_names]
    joints = {"dtype": "float32", "shape": (len(names),), "names": names}
    shape = (POOLED_HEIGHT, POOLED_WIDTH, 3)
    return {
        STATE: joints,
        ACTION: dict(joints),
        IMAGE: {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]},
    }


def read_frames(root: Path) -> Frames:
    """Load a dataset written by `write_dataset` into memory (37 kB a frame)."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset(REPO_ID, root=root, video_backend="pyav")
    table = dataset.hf_dataset.with_format(None)
    images = np.stack([np.asarray(image.convert("RGB")) for image in table[IMAGE]])
    episodes = np.array(table["episode_index"])
    ends = np.searchsorted(episodes, episodes, side="right")
    stats = {
        key: {name: np.asarray(dataset.meta.stats[key][name]) for name in _STATS}
        for key in (STATE, ACTION, IMAGE)
    }
    states = np.array(table[STATE], dtype=np.float32)
    return Frames(images, states, np.array(table[ACTION], dtype=np.float32), ends, stats)
