# SPDX-License-Identifier: Apache-2.0
"""What one may ask a policy that reads a task text, and what it answers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest

_LONGEST_TASK = 2000
_LARGEST = 1e6


@dataclass(frozen=True, slots=True)
class VlaRequest:
    """`state` in the policy's unit and order; `images` camera name → base64 of a JPEG or PNG, not looked into yet."""

    task: str
    state: FloatArray
    images: Mapping[str, str]


def read_request(request: Mapping[str, Any], manifest: PolicyManifest) -> VlaRequest:
    """Raises InvalidInput naming what is missing, foreign or unusable."""
    if unknown := set(request) - {"task", "state", "images"}:
        raise InvalidInput(f"Unknown: {', '.join(sorted(unknown))[:200]}. Send task, state, images.")
    task = request.get("task")
    if not isinstance(task, str) or not task.strip() or len(task) > _LONGEST_TASK:
        raise InvalidInput(f"task is a text of 1 to {_LONGEST_TASK} characters: what the robot shall do.")
    if any("\ud800" <= char <= "\udfff" for char in task):
        raise InvalidInput("task must be whole Unicode characters.")
    state = _state(request.get("state"), manifest.state_names)
    return VlaRequest(task, state, _images(request.get("images", {}), manifest.camera_names))


def answer(chunk: FloatArray, manifest: PolicyManifest, inference_ms: float) -> dict[str, Any]:
    """A chunk H×D as JSON: one row for each step of `dt_s`."""
    return {
        "actions": chunk.tolist(),
        "joint_names": list(manifest.joint_names),
        "unit": manifest.unit,
        "dt_s": 1.0 / manifest.fps,
        "inference_ms": round(inference_ms, 3),
    }


def _state(given: Any, names: tuple[str, ...]) -> FloatArray:
    if not names and given in (None, [], {}):
        return np.zeros(0)
    if isinstance(given, dict):
        _same(given, names, "state", "joints")
        given = [given[name] for name in names]
    if not isinstance(given, list) or len(given) != len(names):
        raise InvalidInput(
            f"state is {len(names)} numbers, or an object, of {', '.join(names) or 'nothing'}."
        )
    for name, value in zip(names, given, strict=True):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= _LARGEST:  # NaN is not either
            raise InvalidInput(f"state of {name} is a finite number.")
    return np.asarray(given, dtype=np.float64)


def _images(given: Any, names: tuple[str, ...]) -> dict[str, str]:
    if not isinstance(given, dict):
        raise InvalidInput("images is an object: camera name → base64 of a JPEG or PNG.")
    _same(given, names, "images", "cameras")
    for name, text in given.items():
        if not isinstance(text, str):
            raise InvalidInput(f"images.{name} is the base64 text of a JPEG or PNG.")
    return dict(given)


def _same(given: Mapping[str, Any], names: tuple[str, ...], what: str, things: str) -> None:
    if missing := [name for name in names if name not in given]:
        raise InvalidInput(f"{what} lacks {', '.join(missing)}; the policy's {things}: {', '.join(names)}.")
    if foreign := sorted(set(given) - set(names)):
        raise InvalidInput(
            f"{what} has {foreign[0][:60]!r}, which is none of the policy's {things}: {', '.join(names) or 'none'}."
        )
