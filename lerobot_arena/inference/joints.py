# SPDX-License-Identifier: Apache-2.0
"""Joint messages, whole or partial, in any unit → whole joint states in the policy's order and unit. Pure."""

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.inference.dataset_info import bare_name


class JointIntake:
    """Merges by name, never by position in a list.

    `names` and `unit` are the policy's. A robot maps other units to it; without one only `unit` itself is taken.
    `may_have_others` tolerates joints that are not the policy's (a whole robot's joint_states).
    """

    def __init__(
        self,
        names: tuple[str, ...],
        unit: str,
        *,
        robot: RobotSpec | None = None,
        may_have_others: bool = False,
    ) -> None:
        self._names, self._unit, self._robot = names, unit, robot
        self._may_have_others = may_have_others
        self._index = {name: i for i, name in enumerate(names)}
        self._values = np.full(len(names), np.nan)
        self._maps: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def clear(self) -> None:
        """Forget all values."""
        self._values[:] = np.nan

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints that no message has named yet."""
        return tuple(name for name, value in zip(self._names, self._values) if np.isnan(value))

    def take(self, sample: JointSample) -> JointSample | None:
        """The joint state after this message, None while a joint was never named.

        Raises InvalidInput, leaving the state as it was, for a foreign, doubled or non-finite value or another unit.
        """
        scale, offset = self._map_from(sample.unit or self._unit)
        updated, seen = self._values.copy(), set()
        for name, value in zip(sample.names, sample.values, strict=True):
            index = self._index.get(bare_name(name))
            if index is None:
                if self._may_have_others:
                    continue
                raise InvalidInput(
                    f"Joint {name!r} is none of the policy's: {', '.join(self._names) or 'it takes no joints'}."
                )
            if index in seen:
                raise InvalidInput(f"Joint {name!r} occurs twice in one message.")
            if not np.isfinite(value):
                raise InvalidInput(f"Joint {name!r} has the value {value}.")
            seen.add(index)
            updated[index] = (value - offset[index]) / scale[index]
        self._values = updated
        if not seen or np.isnan(updated).any():
            return None
        return JointSample(self._names, updated.copy(), self._unit, sample.stamp_ns, sample.receipt_ns)

    def _map_from(self, unit: str) -> tuple[np.ndarray, np.ndarray]:
        """(scale, offset) with value in the policy's unit = (value − offset) / scale."""
        if unit not in self._maps:
            self._maps[unit] = self._make_map(unit)
        return self._maps[unit]

    def _make_map(self, unit: str) -> tuple[np.ndarray, np.ndarray]:
        if unit == self._unit:
            return np.ones(len(self._names)), np.zeros(len(self._names))
        if self._robot is None:
            raise InvalidInput(
                f"Joints came in {unit!r}, but the session's unit is {self._unit!r} and no robot maps one to the other."
            )
        order = [self._robot.joint_names.index(name) for name in self._names]
        from_scale, from_offset = self._robot.affine(unit)
        to_scale, to_offset = self._robot.affine(self._unit)
        # rad = from_offset + from_scale·v = to_offset + to_scale·w, solved for w
        scale = to_scale / from_scale
        offset = (to_offset - from_offset) / from_scale
        return scale[order], offset[order]
