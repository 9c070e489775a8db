# SPDX-License-Identifier: Apache-2.0
"""A LeRobot checkpoint folder, understood from its JSON and tensor headers alone: no torch, no LeRobot.

Formats: LeRobot 0.4 to 0.6 `config.json`, `policy_preprocessor.json`, `policy_postprocessor.json`, `model.safetensors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.inference.manifest import read_json
from lerobot_arena.inference.weights import (
    inside,
    read_small_tensors,
    refuse_unsafe_files,
    safetensors_header,
)

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
STATE, ACTION = "observation.state", "action"
# Their chunk call depends on nothing but its arguments, so one loaded model serves every session.
STATELESS_TYPES = frozenset({"act", "pi0", "pi05", "pi0_fast", "smolvla"})
TASK_TYPES = frozenset(
    {"pi0", "pi05", "pi0_fast", "smolvla", "groot", "xvla", "wall_x", "eo1", "evo1", "molmoact2"}
)
# A config field that makes the policy itself bring any frame to its size.
_RESIZE_FIELDS = ("resize_imgs_with_padding", "image_resolution", "resize_shape", "image_resize_shape")
_NEEDED_STATS = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}


@dataclass(frozen=True, slots=True)
class FeatureNorm:
    """How one feature is normalised: LeRobot's mode, the statistics it needs (and what else was stored), epsilon."""

    mode: str
    stats: Mapping[str, NDArray[np.float64]]
    eps: float


@dataclass(frozen=True, slots=True)
class LeRobotCheckpoint:
    """What the folder says.

    `image_sizes` is the observation's feature key → (height, width) as trained; `rename` maps that key to the name
    the network knows. `norms` is by the network's names and lacks features that stay as they are.
    """

    folder: Path
    config: Mapping[str, Any]
    policy_type: str
    state_size: int
    action_size: int
    image_sizes: Mapping[str, tuple[int, int]]
    declares_resize: bool = False
    norms: Mapping[str, FeatureNorm] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    step_names: tuple[str, ...] = ()

    def count(self, *keys: str, default: int = 1) -> int:
        """The first of the config's integer fields that is set."""
        return next((int(v) for key in keys if isinstance(v := self.config.get(key), int)), default)

    @property
    def chunk_size(self) -> int:
        if self.policy_type in {"diffusion", "multi_task_dit"}:  # they return the steps to execute only
            return self.count("n_action_steps")
        return self.count("chunk_size", "action_chunk_size", "action_horizon", "horizon", "n_action_steps")

    @property
    def n_action_steps(self) -> int:
        return min(self.chunk_size, self.count("n_action_steps", default=self.chunk_size))


def read_checkpoint(folder: Path) -> LeRobotCheckpoint:
    """Read and check the folder. Raises PolicyError naming what is missing, unsafe or contradictory."""
    refuse_unsafe_files(folder)
    config = read_json(folder / CONFIG)
    policy_type = config.get("type")
    if not isinstance(policy_type, str) or not policy_type:
        raise PolicyError(f"{folder / CONFIG} names no policy type: its `type` is {policy_type!r}.")
    if config.get("use_peft"):
        raise PolicyError(f"{folder} is a PEFT adapter: merge it into its base policy and save that.")
    _check_weights(folder)
    before = _steps(folder, "policy_preprocessor.json")
    after = _steps(folder, "policy_postprocessor.json")
    inputs, state_size = _input_features(config, folder)
    norms = _norms(folder, before, "normalizer_processor", config, "input_features")
    norms |= _norms(folder, after, "unnormalizer_processor", config, "output_features")
    renaming = (s["config"].get("rename_map") for s in before if _is(s, "rename_observations_processor"))
    rename = dict(next(renaming, None) or {})
    back = {new: old for old, new in rename.items()}
    resizing = any(_is(s, "image_crop_resize_processor") and s["config"].get("resize_size") for s in before)
    return LeRobotCheckpoint(
        folder=folder,
        config=config,
        policy_type=policy_type,
        state_size=state_size,
        action_size=_action_size(config, folder),
        image_sizes={back.get(key, key): size for key, size in inputs.items()},
        declares_resize=resizing or any(config.get(name) for name in _RESIZE_FIELDS),
        norms=norms,
        rename=rename,
        step_names=tuple(step["registry_name"] for step in before + after),
    )


def _check_weights(folder: Path) -> None:
    path = folder / WEIGHTS
    if not path.is_file():
        raise PolicyError(f"{folder} has no {WEIGHTS}: only safetensors weights are read.")
    header = safetensors_header(path)
    if any(name.startswith(("normalize_inputs.", "unnormalize_outputs.")) for name in header):
        raise PolicyError(
            f"{folder} keeps its statistics inside the weights (LeRobot before 0.4) and would run unnormalised. "
            f"Convert it: python -m lerobot.processor.migrate_policy_normalization --pretrained-path {folder}"
        )


def _steps(folder: Path, name: str) -> list[dict[str, Any]]:
    if not (folder / name).is_file():
        raise PolicyError(
            f"{folder} has no {name}, so its normalisation is unknown. Save the policy's processors beside it."
        )
    steps = read_json(folder / name).get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise PolicyError(f"{folder / name} has no list of steps.")
    for step in steps:
        if not isinstance(step.get("registry_name"), str):
            raise PolicyError(
                f"{folder / name} wants to import {step.get('class')!r}: only LeRobot's registered steps are run."
            )
        if not isinstance(step.setdefault("config", {}), dict):
            raise PolicyError(f"{folder / name}: the step {step['registry_name']!r} has no config object.")
    return steps


def _is(step: Mapping[str, Any], name: str) -> bool:
    return step.get("registry_name") == name


def _shape(feature: Any, key: str, folder: Path) -> tuple[int, ...]:
    shape = feature.get("shape") if isinstance(feature, dict) else None
    if not isinstance(shape, list) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise PolicyError(f"{folder / CONFIG}: the feature {key!r} has no usable shape.")
    return tuple(shape)


def _input_features(config: Mapping[str, Any], folder: Path) -> tuple[dict[str, tuple[int, int]], int]:
    """(image key → (height, width), state size). Raises PolicyError on a feature that no arm can deliver."""
    images, state_size = {}, 0
    for key, feature in (config.get("input_features") or {}).items():
        shape, kind = _shape(feature, key, folder), feature.get("type")
        if kind == "VISUAL" and ".empty_camera_" in key:
            continue
        if kind == "VISUAL":
            if len(shape) != 3 or shape[0] != 3:
                raise PolicyError(
                    f"{folder / CONFIG}: {key!r} has shape {shape}; cameras give 3×height×width."
                )
            images[key] = (shape[1], shape[2])
        elif key == STATE and len(shape) == 1:
            state_size = shape[0]
        elif kind != "LANGUAGE":
            raise PolicyError(f"{folder / CONFIG}: the policy needs {key!r}, which no arm here delivers.")
    return images, state_size


def _action_size(config: Mapping[str, Any], folder: Path) -> int:
    feature = (config.get("output_features") or {}).get(ACTION)
    if feature is None:
        raise PolicyError(f"{folder / CONFIG} declares no {ACTION!r} output.")
    return _shape(feature, ACTION, folder)[0]


def _norms(
    folder: Path, steps: list[dict[str, Any]], name: str, config: Mapping[str, Any], features_key: str
) -> dict[str, FeatureNorm]:
    """Each normalised feature's rule. Raises PolicyError for one that LeRobot would silently leave as it is."""
    features = dict(config.get(features_key) or {})
    modes = config.get("normalization_mapping") or {}
    step = next((step for step in steps if _is(step, name)), None)
    if step is None:
        own = any("normaliz" in s["registry_name"] or "unpack" in s["registry_name"] for s in steps)
        wanted = [k for k, f in features.items() if modes.get(f.get("type"), "IDENTITY") != "IDENTITY"]
        if wanted and not own:
            raise PolicyError(f"{folder} normalises {wanted[0]!r} by its config but has no {name} step.")
        return {}
    stats = _stored_stats(folder, step)
    settings = step["config"]
    only, norms = settings.get("normalize_observation_keys"), {}
    for key, feature in features.items():
        kind = feature.get("type")
        mode, wanted_mode = settings.get("norm_map", {}).get(kind, "IDENTITY"), modes.get(kind, "IDENTITY")
        if mode == "IDENTITY" and wanted_mode != "IDENTITY":
            raise PolicyError(
                f"{folder}: the config normalises {key!r} by {wanted_mode} but its {name} leaves it as it is."
            )
        if mode == "IDENTITY" or (only is not None and key not in only and key != ACTION):
            continue
        _check_stats(folder, f"{name} of {key!r}", mode, stats.get(key, {}))
        if key not in settings.get("features", {}):
            raise PolicyError(f"{folder}: {name} does not list {key!r}; the policy would see raw values.")
        norms[key] = FeatureNorm(mode, stats[key], float(settings.get("eps", 1e-8)))
    return norms


def _stored_stats(folder: Path, step: Mapping[str, Any]) -> dict[str, dict[str, NDArray[np.float64]]]:
    stats: dict[str, dict[str, NDArray[np.float64]]] = {}
    if isinstance(step.get("state_file"), str):
        path = inside(folder, step["state_file"], what="the statistics file")
        for flat, tensor in read_small_tensors(path).items():
            key, _, stat = flat.rpartition(".")
            stats.setdefault(key, {})[stat] = tensor
    return stats


def _check_stats(folder: Path, where: str, mode: str, stats: Mapping[str, NDArray[np.float64]]) -> None:
    needed = _NEEDED_STATS.get(mode)
    if needed is None:
        raise PolicyError(f"{folder}: {where} is by {mode!r}, which LeRobot does not know.")
    if missing := [stat for stat in needed if stat not in stats]:
        raise PolicyError(
            f"{folder}: {where} lacks {', '.join(missing)}; LeRobot would skip it and the policy would see raw values. "
            "Save the processors again with the dataset's statistics."
        )
    if not all(np.isfinite(stats[stat]).all() for stat in needed):
        raise PolicyError(f"{folder}: {where}: the statistics are not finite.")
