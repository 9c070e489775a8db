# SPDX-License-Identifier: Apache-2.0
"""The task is done inside a box: a policy that reaches out of it is doing something else."""

from typing import ClassVar

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding, Phase
from lerobot_arena.guard.checks.workspace_box import BoxParams, outside


class TaskWorkspace(Check):
    """REJECT an action that ends with the end effector out of the box, unless that is nearer to it than before."""

    name: ClassVar[str] = "task_workspace"
    layer: ClassVar[str] = "L2"
    phase: ClassVar[Phase] = Phase.JUDGE
    params_type: ClassVar[type] = BoxParams
    needs_geometry: ClassVar[bool] = True

    params: BoxParams

    def examine(self, given: CheckInput) -> Finding:
        box = self.params.lower_m, self.params.upper_m
        there = outside(self.geometry.pose(given.action).position_m, *box)
        if not there:
            return PASSED
        before = outside(self.geometry.pose(given.previous_command).position_m, *box)
        if there != before and all(amount <= before.get(axis, 0.0) for axis, amount in there.items()):
            return PASSED
        far = ", ".join(f"{axis} by {1e3 * amount:.0f} mm" for axis, amount in there.items())
        return Finding(Decision.REJECT, f"The end effector would be out of the task's workspace: {far}.")
