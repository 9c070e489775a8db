# SPDX-License-Identifier: Apache-2.0
"""What a policy's own training data says of it: meta/info.json of a LeRobotDataset, read from this machine only."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.inference.manifest import read_json

TRAIN_CONFIG = "train_config.json"
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The parts a policy needs; `camera_sizes` is feature key → (height, width)."""

    path: str
    fps: float = 0.0
    joint_names: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ()
    camera_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def find_dataset_info(folder: Path) -> DatasetInfo | None:
    """The info of the dataset beside the checkpoint, or named in its train_config.json and present here."""
    for path in _candidates(folder):
        if os.path.isfile(
            path
        ):  # unlike Path's, it is no error that a foreign path is too long or closed to us
            return _parse(path)
    return None


def _candidates(folder: Path) -> list[Path]:
    found = [folder / "meta" / "info.json", folder / "info.json"]
    train_config = folder / TRAIN_CONFIG
    if not train_config.is_file():
        return found
    dataset = read_json(train_config).get("dataset")
    if not isinstance(dataset, dict):
        return found
    root, repo_id = dataset.get("root"), dataset.get("repo_id")
    if isinstance(root, str) and root:
        found.append(Path(os.path.expanduser(root)) / "meta" / "info.json")
    if isinstance(repo_id, str) and _REPO_ID.fullmatch(repo_id):
        home = os.environ.get("HF_LEROBOT_HOME")
        cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
        base = Path(home).expanduser() if home else cache / "lerobot"
        found.append(base / repo_id / "meta" / "info.json")
    return found


def bare_name(name: str) -> str:
    """A joint's name without LeRobot's `.pos`."""
    return name.removesuffix(".pos")


def camera_name(key: str) -> str:
    """A feature key's camera: observation.images.front → front."""
    return key.removeprefix("observation.images.").removeprefix("observation.")


def _names(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):  # datasets before v2.1: {"motors": [...]}
        names = next((value for value in names.values() if isinstance(value, list)), None)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(bare_name(name) for name in names)


def _camera_size(feature: Mapping[str, Any]) -> tuple[int, int] | None:
    shape, names = feature.get("shape"), feature.get("names")
    if not isinstance(shape, list) or len(shape) != 3 or not all(isinstance(size, int) for size in shape):
        return None
    channels_first = isinstance(names, list) and bool(names) and str(names[0]).startswith("channel")
    height, width = shape[1:] if channels_first else shape[:2]
    return (height, width)


def _parse(path: Path) -> DatasetInfo:
    data = read_json(path)
    features, fps = data.get("features", {}), data.get("fps", 0)
    if not isinstance(features, dict) or isinstance(fps, bool) or not isinstance(fps, int | float):
        raise PolicyError(f"{path} is no LeRobot dataset info: it needs features and a numeric fps.")
    sizes = {
        key: size
        for key, feature in features.items()
        if isinstance(feature, dict) and feature.get("dtype") in {"image", "video"}
        if (size := _camera_size(feature)) is not None
    }
    return DatasetInfo(
        str(path),
        float(fps),
        _names(features.get("action")),
        _names(features.get("observation.state")),
        sizes,
    )
