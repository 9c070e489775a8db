# SPDX-License-Identifier: Apache-2.0
"""A policy as its own files describe it: where it lies, of which kind it is, and what each kind's files say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.inference.checkpoint import ACTION, CONFIG, STATE, STATELESS_TYPES, read_checkpoint
from lerobot_arena.inference.dataset_info import DatasetInfo, camera_name, find_dataset_info
from lerobot_arena.inference.manifest import (
    FILE_NAME,
    CameraInput,
    camera_inputs,
    check_entries,
    read_json,
    read_manifest,
)
from lerobot_arena.inference.weights import inside, refuse_unsafe_files

DEMO = "demo"
HOLD, REPLAY, ONNX, LEROBOT = "hold", "replay", "onnx", "lerobot"
HOLD_FPS = 30.0
_REPLAY_KEYS = {"actions", "faults"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy as its own files describe it, before session and robot have their say. Sizes 0 are unknown."""

    kind: str
    policy_type: str
    folder: Path
    cameras: tuple[CameraInput, ...] = ()
    state_size: int = 0
    action_size: int = 0
    chunk_size: int = 1
    n_action_steps: int = 1
    n_obs_steps: int = 1
    temporal_ensemble_coeff: float | None = None
    has_state: bool = True
    keeps_state: bool = False
    weights: str = ""
    own: Mapping[str, Any] = field(default_factory=dict)
    info: DatasetInfo | None = None
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_draft(path: str, policy_type: str) -> Draft:
    """The draft of the policy at `path`. Raises PolicyError naming what is missing, unsafe or contradictory."""
    kind, where = locate(path, policy_type)
    try:
        return _READERS[kind](where)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        # The JSON is foreign: where it has another shape than any LeRobot writes, that is its fault, not ours.
        raise PolicyError(
            f"The JSON of {where} is not as a policy's: {type(error).__name__}: {error}."
        ) from error


def locate(path: str, policy_type: str) -> tuple[str, Path]:
    """(kind, folder or file) of a policy path. Raises PolicyError when nothing usable is there."""
    if path == HOLD or (policy_type == HOLD and not path):
        return HOLD, Path()
    if path.startswith(f"{REPLAY}:") or policy_type == REPLAY:
        file = Path(path.removeprefix(f"{REPLAY}:"))
        if not file.is_file():
            raise PolicyError(f"The replay file {file} does not exist.")
        return REPLAY, file
    if path == DEMO:
        folder = Path(str(resources.files("lerobot_arena") / "models" / DEMO))
        if not (folder / FILE_NAME).is_file():
            raise PolicyError("This installation ships no demo policy: train one with `arena train-demo`.")
        return ONNX, folder
    folder = Path(path)
    if not folder.is_dir():
        raise PolicyError(f"The policy folder {folder} does not exist.")
    if (folder / CONFIG).is_file():
        return LEROBOT, folder
    if any(folder.glob("*.onnx")):
        return ONNX, folder
    refuse_unsafe_files(folder)
    if (folder / "pretrained_model" / CONFIG).is_file():
        raise PolicyError(
            f"{folder} is a training checkpoint: use {folder / 'pretrained_model'} as policy_path."
        )
    raise PolicyError(
        f"{folder} is no policy: it needs LeRobot's {CONFIG} and model.safetensors, or model.onnx and {FILE_NAME}."
    )


def _read_lerobot(folder: Path) -> Draft:
    found, own = read_checkpoint(folder), read_manifest(folder)
    cameras = tuple(
        CameraInput(camera_name(key), key, *size, *size) for key, size in found.image_sizes.items()
    )
    for said in camera_inputs(own.get("cameras", {}), folder / FILE_NAME):
        if (said.height, said.width) not in {(c.height, c.width) for c in cameras if c.name == said.name}:
            raise PolicyError(
                f"{folder / FILE_NAME} and {CONFIG} disagree about camera {said.name!r}; remove it from the manifest."
            )
    coeff = found.config.get("temporal_ensemble_coeff")
    return Draft(
        kind=LEROBOT,
        policy_type=found.policy_type,
        folder=folder,
        cameras=cameras,
        state_size=found.state_size,
        action_size=found.action_size,
        chunk_size=found.chunk_size,
        n_action_steps=found.n_action_steps,
        n_obs_steps=found.count("n_obs_steps"),
        temporal_ensemble_coeff=None if coeff is None else float(coeff),
        has_state=found.state_size > 0,
        keeps_state=found.policy_type not in STATELESS_TYPES,
        weights="model.safetensors",
        own=own,
        info=find_dataset_info(folder),
        stats={key: found.norms[key].stats for key in (STATE, ACTION) if key in found.norms},
    )


def _read_onnx(folder: Path) -> Draft:
    refuse_unsafe_files(folder)
    own = read_manifest(folder)
    if not own:
        raise PolicyError(
            f"{folder} has no {FILE_NAME}: an exported graph does not say what its inputs mean. Use `arena export`."
        )
    weights = str(own.get("weights", "model.onnx"))
    inside(folder, weights, what="the graph")
    if "chunk_size" not in own or "cameras" not in own:
        raise PolicyError(f"{folder / FILE_NAME} must give chunk_size and cameras. Use `arena export`.")
    return Draft(
        kind=ONNX,
        policy_type=str(own.get("policy_type", ONNX)),
        folder=folder,
        cameras=camera_inputs(own["cameras"], folder / FILE_NAME),
        chunk_size=own["chunk_size"],
        n_action_steps=own.get("n_action_steps", own["chunk_size"]),
        temporal_ensemble_coeff=own.get("temporal_ensemble_coeff"),
        has_state=own.get("state_names") != [],
        weights=weights,
        own=own,
        info=find_dataset_info(folder),
        stats=mapping_or_empty(own.get("stats")),
    )


def _read_replay(file: Path) -> Draft:
    own = read_json(file)
    check_entries(file, {key: value for key, value in own.items() if key not in _REPLAY_KEYS})
    rows = own.get("actions")
    if rows is not None and (np.ndim(rows) != 2 or not np.isfinite(np.asarray(rows, dtype=float)).all()):
        raise PolicyError(f"{file}: actions must be rows of finite numbers, one per joint.")
    chunk = int(own.get("chunk_size", HOLD_FPS))
    return Draft(
        kind=REPLAY,
        policy_type=REPLAY,
        folder=file.parent,
        cameras=camera_inputs(own.get("cameras", {}), file),
        action_size=len(rows[0]) if rows else 0,
        chunk_size=chunk,
        n_action_steps=int(own.get("n_action_steps", max(1, chunk // 2))),
        n_obs_steps=int(own.get("n_obs_steps", 1)),
        weights=file.name,
        own=own,
    )


def _read_hold(_: Path) -> Draft:
    return Draft(kind=HOLD, policy_type=HOLD, folder=Path(), chunk_size=30, n_action_steps=15)


_READERS: dict[str, Callable[[Path], Draft]] = {
    LEROBOT: _read_lerobot,
    ONNX: _read_onnx,
    REPLAY: _read_replay,
    HOLD: _read_hold,
}


def mapping_or_empty(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
