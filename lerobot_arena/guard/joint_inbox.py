# SPDX-License-Identifier: Apache-2.0
"""The latest joint state of one arm, merged by name, with its age by receipt."""

from dataclasses import dataclass

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import JointSample
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.limiter import Vector


@dataclass(frozen=True, slots=True)
class Measured:
    """Values in the arm's order and unit; empty until each joint was named once. `receipt_ns` is steady."""

    values: Vector = ()
    receipt_ns: int = 0
    refusal: str = ""

    def age_s(self, now_ns: int) -> float:
        """Seconds since receipt; negative before the first complete state.

        A message that came after the cycle took its `now_ns` is as fresh as can be.
        """
        return max(0.0, seconds_between(self.receipt_ns, now_ns)) if self.values else -1.0


class JointInbox:
    """Written by one thread; `latest` is replaced whole, so that any thread may read it.

    `is_partial`: messages may name some joints only, as a client's room does; else each must name all of them.
    """

    def __init__(self, space: JointSpace, *, is_partial: bool) -> None:
        self.space = space
        self.latest = Measured()
        self._is_partial = is_partial
        self._known: dict[str, float] = {}

    def accept(self, sample: JointSample) -> bool:
        """Take a message, or keep why not; a refused one leaves the previous state to age."""
        try:
            values = self.space.measured(sample)
            missing = [name for name in self.space.joint_names if name not in values]
            if missing and not self._is_partial:
                raise InvalidInput(f"The joint state lacks {', '.join(missing)}.")
        except InvalidInput as error:
            self.refuse(str(error))
            return False
        self._known.update(values)
        if len(self._known) == len(self.space.joint_names):
            self.latest = Measured(
                tuple(self._known[name] for name in self.space.joint_names), sample.receipt_ns
            )
        return True

    def refuse(self, problem: str) -> None:
        """Keep why the latest message was no use."""
        self.latest = Measured(self.latest.values, self.latest.receipt_ns, problem)
