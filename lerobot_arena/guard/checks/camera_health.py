# SPDX-License-Identifier: Apache-2.0
"""Cameras that repeat a picture or show nothing; the numbers come from inference, with the action chunk."""

from dataclasses import dataclass
from typing import ClassVar

from lerobot_arena.core.params import HIGHER, LOWER, bound
from lerobot_arena.core.reaction import HOLD
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Body, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.scored import is_suspicious, shown, staleness

_KINDS = ("frozen", "dark")


@dataclass(frozen=True, slots=True)
class CameraHealthParams:
    """Which cameras, and how much depends on them."""

    cameras: tuple[str, ...] = bound((), "Cameras that have to be scored; empty: those that are.")
    max_age_s: float = bound(2.0, "Age of the scored observation.", tighter=LOWER, lowest=0.05, highest=60.0)
    required: bool = bound(False, "REJECT what would be a warning.", tighter=HIGHER)


class CameraHealth(Check):
    """A warning while a camera is frozen or dark, or its scores are stale or missing; REJECT when it is required."""

    name: ClassVar[str] = "camera_health"
    layer: ClassVar[str] = "L0"
    phase: ClassVar[Phase] = Phase.SHAPE
    params_type: ClassVar[type] = CameraHealthParams
    may_slow: ClassVar[bool] = True
    hardest: ClassVar[str] = HOLD

    params: CameraHealthParams

    def __init__(self, params: CameraHealthParams, body: Body) -> None:
        super().__init__(params, body)
        self._cameras = set(params.cameras)

    def examine(self, given: CheckInput) -> Finding:
        scores = {
            name: score
            for name, score in given.scores.items()
            if name.partition(":")[0] in _KINDS and self._is_asked_for(name.partition(":")[2])
        }
        seen = {name.partition(":")[2] for name in scores}
        if not self.params.cameras:
            self._cameras |= seen
        if not self._cameras:
            return self._objection("No camera is scored.") if self.params.required else PASSED
        if problem := staleness(given, self.params.max_age_s):
            return self._objection(problem)
        if missing := sorted(self._cameras - seen):
            return self._objection(f"Nothing is known of camera {', '.join(missing)}.")
        if bad := {name: score for name, score in scores.items() if is_suspicious(score)}:
            return self._objection(f"A camera does not show what is there: {shown(bad)}.")
        return PASSED

    def _is_asked_for(self, camera: str) -> bool:
        return not self.params.cameras or camera in self.params.cameras

    def _objection(self, reason: str) -> Finding:
        return Finding(Decision.REJECT if self.params.required else Decision.CLAMP, reason)
