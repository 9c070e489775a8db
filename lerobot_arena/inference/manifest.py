# SPDX-License-Identifier: Apache-2.0
"""PolicyManifest: everything that must be known of a policy before it may answer, and the file beside its weights.

`manifest.json` holds any part of it; an exported folder's is complete. Sizes are pixels, `fps` is steps a second.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.strict import is_number
from lerobot_arena.core.units import UNITS

FORMAT = "lerobot_arena.policy/1"
FILE_NAME = "manifest.json"
MAX_JSON_BYTES = 16_000_000

_TEXT = {"format", "policy_type", "unit", "weights", "sha256", "precision"}
_NUMBERS = {"fps", "temporal_ensemble_coeff"}
_COUNTS = {"chunk_size", "n_action_steps", "n_obs_steps"}
_NAMES = {"joint_names", "state_names"}
_FREE = {"cameras", "stats", "training", "success", "parity", "notes"}
_KNOWN = _TEXT | _NUMBERS | _COUNTS | _NAMES | _FREE


@dataclass(frozen=True, slots=True)
class CameraInput:
    """One camera as the policy takes it: `height`×`width` frames under the feature `key`.

    `trained_height`×`trained_width` is what the network sees after the trained-in area average; equal when none.
    """

    name: str
    key: str
    height: int
    width: int
    trained_height: int
    trained_width: int


@dataclass(frozen=True, slots=True)
class PolicyManifest:
    """A policy ready to be loaded. `state_names` may order the same joints differently from `joint_names`.

    `sources` says where each value came from that the weights alone don't tell, as "unit: session".
    """

    kind: str
    policy_type: str
    path: str
    joint_names: tuple[str, ...]
    unit: str
    fps: float
    cameras: tuple[CameraInput, ...] = ()
    state_names: tuple[str, ...] = ()
    chunk_size: int = 1
    n_action_steps: int = 1
    n_obs_steps: int = 1
    temporal_ensemble_coeff: float | None = None
    keeps_state: bool = False
    takes_task: bool = False
    weights: str = ""
    sha256: str = ""
    precision: str = "float32"
    sources: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)

    def to_json(self) -> str:
        """For the pipe to a worker; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "PolicyManifest":
        """What `to_json` wrote."""
        data = json.loads(text)
        data["cameras"] = tuple(CameraInput(**camera) for camera in data["cameras"])
        for key in ("joint_names", "state_names", "sources"):
            data[key] = tuple(data[key])
        return cls(**data)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of bounded size. Raises PolicyError naming the file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise PolicyError(f"{path} is larger than {MAX_JSON_BYTES} bytes; that is no policy description.")
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(data, dict):
        raise PolicyError(f"{path} must hold a JSON object, not a {type(data).__name__}.")
    return data


def read_manifest(folder: Path) -> dict[str, Any]:
    """The checked content of folder/manifest.json, empty when there is none. Raises PolicyError naming the key."""
    path = folder / FILE_NAME
    if not path.is_file():
        return {}
    data = read_json(path)
    if data.get("format") != FORMAT:
        raise PolicyError(f"{path}: format is {data.get('format')!r}; this version reads {FORMAT!r}.")
    check_entries(path, data)
    return {key: value for key, value in data.items() if value is not None}


def check_entries(path: Path, data: Mapping[str, Any]) -> None:
    """Raise PolicyError for a key that is no manifest's, or a value that it cannot have."""
    if unknown := set(data) - _KNOWN:
        raise PolicyError(f"{path}: unknown key {sorted(unknown)[0]!r}. Known: {', '.join(sorted(_KNOWN))}.")
    for key, value in data.items():
        if value is not None and not _is_sound(key, value):
            raise PolicyError(f"{path}: {key} cannot be {str(value)[:80]!r}.")


def _is_sound(key: str, value: Any) -> bool:
    if key == "unit":
        return value in UNITS
    if key in _TEXT:
        return isinstance(value, str)
    if key in _NUMBERS:
        return is_number(value)
    if key in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if key in _NAMES:
        may_be_empty = key == "state_names"  # no state at all
        return (
            isinstance(value, list)
            and (may_be_empty or bool(value))
            and all(isinstance(n, str) for n in value)
        )
    return isinstance(value, dict | str)


def camera_inputs(data: Mapping[str, Any], where: Path) -> tuple[CameraInput, ...]:
    """The manifest's cameras, {name: {height, width, key?, trained_height?, trained_width?}}. Raises PolicyError."""
    if not isinstance(data, Mapping):
        raise PolicyError(f"{where}: cameras must be an object, {{name: {{height, width}}}}.")
    found = []
    for name, entry in data.items():
        if not isinstance(entry, dict):
            raise PolicyError(f"{where}: camera {name!r} must be an object with height and width.")
        keys = ("height", "width", "trained_height", "trained_width")
        sizes = [size for key in keys if (size := _size(entry, key))]
        if len(sizes) != len(keys):
            raise PolicyError(f"{where}: camera {name!r} needs a height and a width of 1 to 8192 pixels.")
        key = str(entry.get("key", f"observation.images.{name}"))
        found.append(CameraInput(str(name), key, *sizes))
    return tuple(found)


def _size(entry: Mapping[str, Any], key: str) -> int:
    """A size in pixels, 0 when it is none; a trained size that is left out is the camera's."""
    size = entry.get(key, entry.get(key.removeprefix("trained_")))
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 < size <= 8192 else 0


def cameras_to_json(cameras: tuple[CameraInput, ...]) -> dict[str, dict[str, Any]]:
    """The `cameras` object of a manifest file."""
    return {c.name: {key: value for key, value in asdict(c).items() if key != "name"} for c in cameras}


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write folder/manifest.json. Raises ValueError on a key that `read_manifest` would refuse."""
    data = {"format": FORMAT, **{key: value for key, value in content.items() if value is not None}}
    if unknown := set(data) - _KNOWN:
        raise ValueError(f"unknown manifest keys {sorted(unknown)}")
    (folder / FILE_NAME).write_text(json.dumps(data, indent=2) + "\n")
