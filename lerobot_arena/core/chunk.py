# SPDX-License-Identifier: Apache-2.0
"""What a policy wants done next: H steps of D joints."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import FloatArray

MAX_HORIZON = 1000
MAX_JOINTS = 64


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """Actions over time; step i is meant for i·dt_s after the observation.

    `actions` is H×D in `unit`, columns in the order of `joint_names`. `observation_age_s` is a duration on the
    producer's steady clock, so that it means the same on every machine. `execute_steps` is how many steps the
    policy means to be played before it is asked again; 0 means all.
    """

    actions: FloatArray
    joint_names: tuple[str, ...]
    unit: str
    dt_s: float
    session_id: str = ""
    epoch: int = 0
    request_sequence: int = 0
    sequence: int = 0
    observation_stamp_ns: int = 0
    observation_age_s: float = 0.0
    execute_steps: int = 0
    skew_s: float = 0.0
    scores: tuple[Score, ...] = ()
    stage_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        return int(self.actions.shape[0])


def check_chunk_shape(chunk: ActionChunk) -> None:
    """Raise InvalidInput unless the chunk's shape, names and timing are possible; values are the checks' business."""
    if chunk.actions.ndim != 2 or chunk.horizon == 0:
        raise InvalidInput(f"The action chunk has shape {chunk.actions.shape}; it needs steps × joints.")
    if chunk.horizon > MAX_HORIZON or len(chunk.joint_names) > MAX_JOINTS:
        raise InvalidInput(
            f"The action chunk has shape {chunk.actions.shape}; at most {MAX_HORIZON}×{MAX_JOINTS}."
        )
    if chunk.actions.shape[1] != len(chunk.joint_names):
        raise InvalidInput(
            f"The action chunk has {chunk.actions.shape[1]} values a step for {len(chunk.joint_names)} joint names."
        )
    if len(set(chunk.joint_names)) != len(chunk.joint_names):
        raise InvalidInput(f"The action chunk names a joint twice: {', '.join(chunk.joint_names)}.")
    if not (0.001 <= chunk.dt_s <= 10.0):
        raise InvalidInput(f"The action chunk's step of {chunk.dt_s} s is outside 0.001 to 10 s.")
    if not (0.0 <= chunk.observation_age_s <= 3600.0):
        raise InvalidInput(
            f"The action chunk's observation age of {chunk.observation_age_s} s is impossible."
        )
