# SPDX-License-Identifier: Apache-2.0
"""`ood.safetensors` beside a policy's weights: a detector's numbers, and in the file's metadata what they mean.

Tensors `<group>.weights`, `.whitening` and `.reference`, `centre`, `scale` and `maxima`; the metadata's `detector` is
JSON: format, cameras {name: [trained height, trained width]}, joints, frames, episodes, alpha. Nothing in it is code.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput, PolicyError
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.scores.conformal import conformal_threshold
from lerobot_arena.inference.scores.detector import Calibration, Detector, Group
from lerobot_arena.inference.scores.features import JOINTS, Layout
from lerobot_arena.inference.scores.posture import count_terms
from lerobot_arena.inference.weights import read_small_tensors, safetensors_metadata

FILE_NAME = "ood.safetensors"
FORMAT = "lerobot_arena.ood/1"
MAX_BYTES = 16_000_000
MAX_CAMERAS, MAX_JOINTS, MAX_EPISODES = 16, 64, 100_000
_ADVICE = "Fit it again, or remove the file to run without an ood score."


def write_detector(folder: Path, detector: Detector) -> Path:
    """Write folder/ood.safetensors, whole or not at all. Raises InvalidInput for a detector without a threshold."""
    from safetensors.numpy import save

    if detector.calibration is None:
        raise InvalidInput("The detector has no threshold yet: calibrate it on successful episodes.")
    layout, calibration = detector.layout, detector.calibration
    tensors: dict[str, NDArray[Any]] = {
        "maxima": np.asarray(calibration.maxima, dtype=np.float64),
        "centre": detector.centre,
        "scale": detector.scale,
    }
    for name, group in detector.groups.items():
        tensors[f"{name}.weights"] = np.ascontiguousarray(group.weights)
        tensors[f"{name}.whitening"] = np.ascontiguousarray(group.whitening)
        tensors[f"{name}.reference"] = np.array([group.reference])
    about = {
        "format": FORMAT,
        "cameras": {name: [height, width] for name, height, width in layout.cameras},
        "joints": layout.joints,
        "frames": detector.frames,
        "episodes": len(calibration.maxima),
        "alpha": calibration.alpha,
    }
    path = folder / FILE_NAME
    part = path.with_suffix(".part")
    part.write_bytes(save(tensors, {"detector": json.dumps(about)}))
    os.replace(part, path)
    return path


def read_detector(folder: Path) -> Detector | None:
    """The detector beside a policy's weights, None when there is none.

    Raises PolicyError for a file that is too large, of another format, incomplete, inconsistent or not finite.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    about = _about(path)
    try:
        tensors = read_small_tensors(path)
        maxima = _tensor(tensors, "maxima", (about.episodes,))
        joints = about.layout.joints
        centre, scale = (_tensor(tensors, name, (joints,)).astype(np.float32) for name in ("centre", "scale"))
        if (scale <= 0).any():
            raise InvalidInput("scale has values that are not above 0")
        groups = {
            name: _group(tensors, name, size, terms=1 if name == JOINTS else count_terms(joints))
            for name, size in about.layout.sizes.items()
        }
        calibration = Calibration(tuple(map(float, maxima)), about.alpha)
        conformal_threshold([[value] for value in calibration.maxima], calibration.alpha)
        return Detector(about.layout, centre, scale, groups, about.frames, calibration)
    except (ValueError, InvalidInput) as error:
        raise _unusable(path, error) from error


def describe_detector(folder: Path) -> str:
    """One line for a status, from the file's header alone; empty without a file. Raises PolicyError."""
    path = folder / FILE_NAME
    if not path.is_file():
        return ""
    about = _about(path)
    return f"ood: calibrated on {about.episodes} episodes, alpha {about.alpha:g}"


@dataclass(frozen=True, slots=True)
class _About:
    layout: Layout
    frames: int
    episodes: int
    alpha: float


def _unusable(path: Path, error: Exception) -> PolicyError:
    return PolicyError(f"{path} is no usable detector: {str(error).removesuffix('.')}. {_ADVICE}")


def _about(path: Path) -> _About:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _unusable(path, ValueError(f"it has {size} bytes, more than {MAX_BYTES}"))
    text = safetensors_metadata(path).get("detector", "{}")
    try:
        data = strict.mapping(json.loads(text), "its metadata")
        if data.get("format") != FORMAT:
            raise InvalidInput(f"its format is {data.get('format')!r}; this version reads {FORMAT!r}")
        strict.only(data, ("format", "cameras", "joints", "frames", "episodes", "alpha"), "its metadata")
        return _About(
            _layout(data),
            strict.whole(data.get("frames"), "frames", 1, 10**12),
            strict.whole(data.get("episodes"), "episodes", 1, MAX_EPISODES),
            strict.number(data.get("alpha"), "alpha", 0.0, 1.0),
        )
    except (ValueError, InvalidInput) as error:
        raise _unusable(path, error) from error


def _layout(data: Mapping[str, Any]) -> Layout:
    cameras = strict.mapping(data.get("cameras"), "cameras")
    if len(cameras) > MAX_CAMERAS:
        raise InvalidInput(f"it has {len(cameras)} cameras, more than {MAX_CAMERAS}")
    found = []
    for name, size in cameras.items():
        if not isinstance(size, list) or len(size) != 2:
            raise InvalidInput(f"camera {name!r} has the size {size!r} instead of [height, width]")
        height, width = (strict.whole(side, f"a side of camera {name!r}", 1, 8192) for side in size)
        found.append((name, height, width))
    joints = strict.whole(data.get("joints"), "joints", 0, MAX_JOINTS)
    if not found and not joints:
        raise InvalidInput("it has neither cameras nor joints")
    return Layout(tuple(found), joints)


def _group(tensors: Mapping[str, FloatArray], name: str, size: int, *, terms: int) -> Group:
    weights = _tensor(tensors, f"{name}.weights", (terms, size))
    whitening = _tensor(tensors, f"{name}.whitening", (size, size))
    (reference,) = _tensor(tensors, f"{name}.reference", (1,))
    if reference <= 0:
        raise InvalidInput(f"{name}.reference is {reference}, not above 0")
    return Group(weights.astype(np.float32), whitening.astype(np.float32), float(reference))


def _tensor(tensors: Mapping[str, FloatArray], name: str, shape: tuple[int, ...]) -> FloatArray:
    tensor = tensors.get(name)
    if tensor is None or tensor.shape != shape:
        raise InvalidInput(f"{name} is {'missing' if tensor is None else tensor.shape}, not {shape}")
    if not np.isfinite(tensor).all():
        raise InvalidInput(f"{name} has values that are not finite")
    return tensor
