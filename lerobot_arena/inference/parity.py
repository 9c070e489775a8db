# SPDX-License-Identifier: Apache-2.0
"""Does an exported policy still answer as its original does? Errors in joint units and in the action's own scale."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.area import area_average, repeat_to
from lerobot_arena.inference.checkpoint import STATE
from lerobot_arena.inference.manifest import CameraInput, PolicyManifest
from lerobot_arena.inference.policies.protocol import Policy, PolicyInput


@dataclass(frozen=True, slots=True)
class Parity:
    """Difference of two policies over the same inputs.

    `max_error` and `mean_error` are in the policy's joint unit; `scaled_error` is the largest error of any joint
    divided by that joint's spread of actions in training, which is what a tolerance is compared with.
    """

    random_inputs: int
    recorded_inputs: int
    max_error: float
    mean_error: float
    scaled_error: float
    worst_joint: str


def random_inputs(
    manifest: PolicyManifest, count: int, *, centre: FloatArray, spread: FloatArray, seed: int
) -> list[PolicyInput]:
    """Joints around `centre`, and frames of noise and flat colours, so that no input is all zeros."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        state = centre + spread * rng.uniform(-2.0, 2.0, size=centre.shape)
        frames = {camera.name: _random_frame(camera, rng, index) for camera in manifest.cameras}
        found.append(PolicyInput(state, frames))
    return found


def _random_frame(camera: CameraInput, rng: np.random.Generator, index: int) -> NDArray[np.uint8]:
    shape = (camera.height, camera.width, 3)
    noise = rng.integers(0, 256, size=shape, dtype=np.uint8)
    if index % 2 == 0:
        return noise
    # A slow ramp of colour with some noise is nearer to what a camera sees than noise alone.
    ramp = np.linspace(0, 200, camera.width)[None, :, None] * rng.uniform(0.1, 1.0, size=3)
    return (ramp + noise // 5).clip(0, 255).astype(np.uint8) * np.ones(shape, dtype=np.uint8)


def input_from_mapping(manifest: PolicyManifest, item: Mapping[str, Any]) -> PolicyInput:
    """A recorded observation, by LeRobot's feature keys, as PolicyInput.

    Frames are uint8 H×W×3 of the camera's size or of the trained size, which is then enlarged by repetition.
    Raises PolicyError naming the key that is missing or of another shape.
    """
    try:
        frames = {c.name: _frame(c, np.asarray(item[c.key])) for c in manifest.cameras}
        state = np.asarray(item[STATE], dtype=np.float64) if manifest.state_names else np.empty(0)
    except KeyError as error:
        raise PolicyError(
            f"A recorded observation lacks {error}; it has {', '.join(sorted(item))}."
        ) from error
    if state.shape != (len(manifest.state_names),):
        raise PolicyError(f"A recorded {STATE} has shape {state.shape}, not ({len(manifest.state_names)},).")
    return PolicyInput(state, frames)


def _frame(camera: CameraInput, image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        raise PolicyError(f"A recorded frame of {camera.name!r} is {image.dtype}; give uint8 height×width×3.")
    if image.shape == (camera.trained_height, camera.trained_width, 3):
        return repeat_to(image, camera.height, camera.width)
    if image.shape != (camera.height, camera.width, 3):
        raise PolicyError(
            f"A recorded frame of {camera.name!r} has shape {image.shape}; the policy takes "
            f"{(camera.height, camera.width, 3)}, trained on {(camera.trained_height, camera.trained_width, 3)}."
        )
    return image


def as_trained(manifest: PolicyManifest, item: PolicyInput) -> PolicyInput:
    """The input after the trained-in resize: what the original policy, which has none, takes."""
    shrunk = {
        c.name: area_average(item.frames[c.name], c.trained_height, c.trained_width) for c in manifest.cameras
    }
    return PolicyInput(item.state, shrunk, item.task, item.time_s)


def compare(
    original: Policy,
    exported: Policy,
    manifest: PolicyManifest,
    *,
    random: Sequence[PolicyInput],
    recorded: Iterable[PolicyInput],
    scale: FloatArray,
) -> Parity:
    """Run both on every input, reset in between. `scale` is the spread of each joint's actions."""
    recorded = list(recorded)
    errors = []
    for item in [*random, *recorded]:
        original.reset()
        exported.reset()
        wanted = original.infer([as_trained(manifest, item)])
        errors.append(np.abs(wanted - exported.infer([item])))
    stacked = np.stack(errors)
    per_joint = stacked.max(axis=(0, 1))
    scaled = per_joint / np.maximum(scale, 1e-9)
    return Parity(
        len(random),
        len(recorded),
        float(stacked.max()),
        float(stacked.mean()),
        float(scaled.max()),
        manifest.joint_names[int(scaled.argmax())],
    )
