# SPDX-License-Identifier: Apache-2.0
"""What a guarded arm needs of the outside. The ROS node implements it; tests implement it in memory."""

from typing import Protocol

from lerobot_arena.core.cycle import ChunkRequest, ContextEvent, CycleRecord, JointCommand
from lerobot_arena.guard.joint_space import JointSpace


class ArmPorts(Protocol):
    """Called from the control thread, except the two emergency calls; none of them may block."""

    def send(self, command: JointCommand, space: JointSpace) -> None:
        """Let a command out: the one call that moves something. Positions are in the space's unit."""

    def show_executed(self, command: JointCommand, space: JointSpace, unit: str) -> None:
        """Publish what was executed in the policy's unit, after `send`."""

    def request_chunk(self, request: ChunkRequest) -> None: ...

    def publish_cycle(self, record: CycleRecord) -> None: ...

    def publish_event(self, event: ContextEvent) -> None:
        """A reaction began, ended or grew."""

    def state_changed(self) -> None:
        """Something a person would want to know changed: publish the state now."""

    def emergency_stop(self) -> None:
        """Ask the embodiment to stop; its answer arrives later in `GuardedArm.sink_answered`."""

    def clear_emergency(self) -> None:
        """Ask the embodiment to leave its emergency stop; answered in the same way."""

    def warn(self, text: str) -> None: ...
