# SPDX-License-Identifier: Apache-2.0
"""The guard process: one real arm (its namespace), or every virtual arm. Callbacks convert, call, convert."""

import os
import time
import uuid
from typing import Any

from rclpy.exceptions import NameValidationException

from lerobot_arena.core import topics
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.ids import check_arm, escape
from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import GuardState, SessionsStatus, SessionsWanted
from lerobot_arena.guard.belongings import Belongings
from lerobot_arena.guard.edge import ArmEdge, Household
from lerobot_arena.guard.fleet import plan_fleet
from lerobot_arena.guard.host_sampler import HostLook, HostSampler
from lerobot_arena.guard.knowledge import ArmModel
from lerobot_arena.guard.pacing import set_niceness
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.predecessors import Legacy, epochs, run_folder, take_over
from lerobot_arena.guard.robot_model import geometry_of
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.host import ArenaNode, quiet_executor, run_node

_STATE_PERIOD_S = 0.2
_CENSUS_PERIOD_S = 0.5
_DIAGNOSTICS_PERIOD_S = 1.0
# A DDS GUID is 12 bytes of participant, shared by all endpoints of one process, and 4 of endpoint.
_PARTICIPANT_BYTES = 12


class GuardNode(ArenaNode):
    """Parameter `virtual` decides: the namespace's arm, or the arms of all virtual sessions."""

    params_type = GuardParams

    def __init__(self) -> None:
        super().__init__("guard")
        self._edges: dict[str, ArmEdge] = {}
        self._refused: dict[str, Any] = {}
        self._own = Belongings(self)
        self._sampler: HostSampler | None = None
        self._is_active = False

    def set_up(self) -> None:
        if not set_niceness(self.params.niceness):
            self.get_logger().info(
                f"Not allowed to run at niceness {self.params.niceness}; under load the control loop may be late. "
                "Grant CAP_SYS_NICE, or a nice limit in /etc/security/limits.conf."
            )
        robot = load_robot(self.params.robot)
        own = self._own_publishers()
        legacy = self._take_over(own)
        self._house = Household(
            self.params,
            robot,
            epochs(legacy.first_epoch),
            uuid.uuid4().hex,
            own,
            legacy,
            shipped_config(),
            self._model_of(robot),
        )
        if self.params.enforcement_mode != ENFORCE:
            self.get_logger().fatal(
                f"enforcement_mode is {self.params.enforcement_mode}: THE GUARD DOES NOT KEEP THE ARM SAFE."
            )
        self._config: GuardConfig | None = None
        if not self.params.virtual:
            self._open(check_arm(self.arm))
        self._sampler = HostSampler()
        self._sampler.start()
        self._own.subscription(convert.own.GuardConfig, topics.GUARD_CONFIG, self._on_config, qos.LATCHED)
        self._own.subscription(convert.own.SessionsWanted, topics.WANTED, self._on_wanted, qos.LATCHED)
        self._own.subscription(convert.own.SessionsStatus, topics.SESSIONS, self._on_sessions, qos.LATCHED)
        self._own.timer(_STATE_PERIOD_S, self._look)
        self._own.timer(_CENSUS_PERIOD_S, self._census)
        self._own.timer(_DIAGNOSTICS_PERIOD_S, self._diagnose)

    def _model_of(self, robot: RobotSpec) -> ArmModel:
        """The arm's shape, or why there is none: then boundaries that need it refuse every start."""
        if self.params.virtual:
            return ArmModel()
        try:
            return ArmModel(geometry_of(robot))
        except ArenaError as error:
            self.get_logger().warning(str(error))
            return ArmModel(None, str(error))

    def _own_publishers(self) -> str:
        """The GID prefix of this process, from a publisher nobody else can have."""
        topic = f"{self.get_namespace().rstrip('/')}/guard/_probe_{uuid.uuid4().hex}"
        probe = self.create_publisher(convert.Empty, topic, qos.EVENT)
        gid = bytes(self.get_publishers_info_by_topic(topic)[0].endpoint_gid)
        self.destroy_publisher(probe)
        return gid[:_PARTICIPANT_BYTES].hex()

    def _take_over(self, own: str) -> Legacy:
        path = run_folder(os.environ) / f"guard-{escape(self.arm or 'root')}.json"
        try:
            return take_over(path, publishers=own, wall_ns=time.time_ns())
        except OSError as error:
            self.get_logger().warning(
                f"{path} cannot be written ({error}): after a crash the next guard waits for DDS to forget this one. "
                "Set ARENA_DATA_DIR to a writable folder."
            )
            return Legacy(time.time_ns() // 1_000_000)

    def start(self) -> None:
        self._is_active = True
        for edge in self._edges.values():
            edge.begin()

    def stop(self) -> None:
        self._is_active = False
        for edge in self._edges.values():
            edge.end()

    def tear_down(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None
        for arm in list(self._edges):
            self._edges.pop(arm).close()
        for publisher in self._refused.values():
            self.destroy_publisher(publisher)
        self._refused.clear()
        self._own.clear()

    def _open(self, arm: str) -> ArmEdge:
        edge = ArmEdge(self, arm, self._house, is_virtual=self.params.virtual)
        self._edges[arm] = edge
        if self._config is not None:
            edge.on_config(self._config)
        if self._is_active:
            edge.begin()
        return edge

    def _on_wanted(self, message: Any) -> None:
        wanted = convert.from_msg(SessionsWanted, message)
        if self.params.virtual:
            self._follow_fleet(wanted)
        for edge in self._edges.values():
            edge.on_wanted(wanted)

    def _follow_fleet(self, wanted: SessionsWanted) -> None:
        change = plan_fleet(wanted, self._edges, self.params.max_virtual_arms)
        for arm in change.closed:
            self._edges.pop(arm).close()
        problems = dict.fromkeys(
            change.refused,
            f"This guard already has {self.params.max_virtual_arms} virtual arms: delete a session, or raise "
            "max_virtual_arms.",
        )
        for arm in change.opened:
            try:
                self._open(check_arm(arm))
            except (ArenaError, NameValidationException) as error:
                problems[arm] = str(error)
        self._show_refused(problems, wanted.generation)

    def _show_refused(self, problems: dict[str, str], generation: int) -> None:
        for arm in [arm for arm in self._refused if arm not in problems]:
            self.destroy_publisher(self._refused.pop(arm))
        for arm, problem in problems.items():
            if arm not in self._refused:
                topic = topics.on_arm(arm, topics.GUARD_STATE)
                self._refused[arm] = self.create_publisher(convert.own.GuardState, topic, qos.LATCHED)
            state = GuardState(
                arm, boot_id=self._house.boot_id, wanted_generation=generation, not_ready=(problem,)
            )
            self._refused[arm].publish(convert.to_msg(state))

    def _on_sessions(self, message: Any) -> None:
        sessions = convert.from_msg(SessionsStatus, message)
        for edge in self._edges.values():
            edge.arm.on_sessions(sessions)

    def _on_config(self, message: Any) -> None:
        self._config = convert.from_msg(GuardConfig, message)
        for edge in self._edges.values():
            edge.on_config(self._config)

    def _diagnose(self) -> None:
        for edge in self._edges.values():
            edge.diagnose()

    def _look(self) -> None:
        host = self._sampler.latest if self._sampler is not None else HostLook()
        for edge in self._edges.values():
            if host.health is not None:
                edge.arm.on_host(host.health, host.taken_ns)
            edge.look()

    def _census(self) -> None:
        for edge in self._edges.values():
            edge.census()


def main() -> None:
    """Entry of `python -m lerobot_arena.guard.node` and of `ros2 run lerobot_arena guard_node`."""
    raise SystemExit(run_node(GuardNode, make_executor=quiet_executor))


if __name__ == "__main__":
    main()
