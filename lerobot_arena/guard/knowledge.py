# SPDX-License-Identifier: Apache-2.0
"""What one arm's guard knows of the world, as messages told it; written by the ROS thread, read by both."""

from dataclasses import dataclass

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HardwareReading, HostHealth
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import (
    EmbodimentStatus,
    SessionsStatus,
    SessionStatus,
    SessionsWanted,
    SessionWanted,
)
from lerobot_arena.core.units import RADIANS
from lerobot_arena.guard.checks.protocol import Body, Geometry
from lerobot_arena.guard.inference_watch import InferenceReport
from lerobot_arena.guard.joint_inbox import JointInbox, Measured
from lerobot_arena.guard.joint_space import JointSpace, arm_space, virtual_space
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.readiness import Situation
from lerobot_arena.guard.robot_model import opening_of
from lerobot_arena.guard.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class ArmModel:
    """What is known of the arm's shape; without it, boundaries that need one are refused for the reason given."""

    geometry: Geometry | None = None
    no_geometry_because: str = "no robot model was given"


class Knowledge:
    """Of one arm. Everything shared is replaced whole, never changed in place."""

    def __init__(
        self,
        arm: str,
        params: GuardParams,
        robot: RobotSpec,
        *,
        is_virtual: bool,
        model: ArmModel | None = None,
    ) -> None:
        self.arm, self.is_virtual = arm, is_virtual
        self._params, self._robot, self._model = params, robot, model or ArmModel()
        self.wanted = SessionsWanted()
        self.report = InferenceReport()
        self.embodiment: EmbodimentStatus | None = None
        self._embodiment_ns = 0
        self.foreign: tuple[str, ...] = ()
        self._hardware: HardwareReading | None = None
        self._host: HostHealth | None = None
        self._hardware_ns = self._host_ns = 0
        self.unusable_rooms = ""
        self._space_problem = ""
        self._inbox: JointInbox | None = None
        if not is_virtual:
            self._inbox = JointInbox(arm_space(robot), is_partial=False)

    @property
    def joint_timeout_s(self) -> float:
        return self._params.virtual_joint_timeout_s if self.is_virtual else self._params.joint_timeout_s

    @property
    def session(self) -> SessionWanted | None:
        """What a start would mean now."""
        return self.wanted.for_arm(self.arm)

    @property
    def status(self) -> SessionStatus | None:
        session = self.session
        return self.report.sessions.of(session.session_id) if session is not None else None

    @property
    def space(self) -> JointSpace | None:
        return self._inbox.space if self._inbox is not None else None

    @property
    def body(self) -> Body | None:
        """The arm as its checks see it; None while nobody can say what it has."""
        space = self.space
        if space is None:
            return None
        model = ArmModel(None, "it is a client's arm") if self.is_virtual else self._model
        period_s = 1.0 / self._params.control_rate_hz
        # In LeRobot's own units a gripper counts upwards when it opens; in radians the robot file knows.
        opening = opening_of(space.robot) if space.robot is not None and space.unit == RADIANS else ()
        return Body(
            space.joint_names,
            space.unit,
            space.limits,
            period_s,
            model.geometry,
            model.no_geometry_because,
            opening,
        )

    @property
    def measured(self) -> Measured:
        return self._inbox.latest if self._inbox is not None else Measured()

    def take_joints(self, sample: JointSample) -> bool:
        """False when the message was refused, or nobody can say yet what it means."""
        return self._inbox is not None and self._inbox.accept(sample)

    def refuse_joints(self, problem: str) -> None:
        """A joint message could not be read: the latest state stays, and ages."""
        if self._inbox is not None:
            self._inbox.refuse(problem)

    def take_wanted(self, wanted: SessionsWanted) -> None:
        self.wanted = wanted
        self._follow_session()

    def take_report(self, sessions: SessionsStatus, now_ns: int) -> None:
        self.report = InferenceReport(sessions, now_ns)
        self._follow_session()

    def _follow_session(self) -> None:
        """A virtual arm has the joints and the unit of its session's policy."""
        if not self.is_virtual:
            return
        status = self.status
        names, unit = (status.joint_names, status.unit) if status is not None else ((), "")
        try:
            space = virtual_space(names, unit, robot=self._robot, params=self._params)
        except InvalidInput as error:
            self._inbox, self._space_problem = None, str(error)
            return
        if self.space != space:
            self._inbox, self._space_problem = JointInbox(space, is_partial=True), ""

    def take_embodiment(self, status: EmbodimentStatus, now_ns: int) -> None:
        self.embodiment, self._embodiment_ns = status, now_ns

    def take_hardware(self, reading: HardwareReading, now_ns: int) -> None:
        self._hardware, self._hardware_ns = reading, now_ns

    def take_host(self, host: HostHealth, now_ns: int) -> None:
        self._host, self._host_ns = host, now_ns

    def around(self, now_ns: int, absence: str = "") -> Surroundings:
        """All of it, for one cycle. `absence`: why inference gave nothing, should it have given nothing."""

        def age_s(since_ns: int) -> float:
            return max(0.0, seconds_between(since_ns, now_ns)) if since_ns else -1.0

        return Surroundings(
            self.measured,
            self.foreign,
            absence,
            self._hardware,
            age_s(self._hardware_ns),
            self._host,
            age_s(self._host_ns),
            age_s(self._embodiment_ns),
            self.fault_of_embodiment(),
        )

    def fault_of_embodiment(self) -> str:
        """What is wrong with the embodiment itself, as far as it said so; being told to stop is nothing wrong."""
        if self.embodiment is None or self.is_virtual:
            return ""
        if not self.embodiment.is_connected:
            return f"The embodiment is not connected. {self.embodiment.message}".strip()
        if self.embodiment.is_protective_stop:
            return f"The robot stopped by itself. {self.embodiment.message}".strip()
        return ""

    def embodiment_problem(self) -> str:
        """Why the embodiment cannot be driven, as far as it said so."""
        if problem := self.fault_of_embodiment():
            return problem
        is_stopped = self.embodiment is not None and not self.is_virtual and self.embodiment.is_stopped
        return "The embodiment is in emergency stop: reset it." if is_stopped else ""

    def _room_problem(self) -> str:
        """Why nothing could be heard from or said to the session's rooms."""
        session = self.session
        if self.is_virtual and session is not None and not session.joint_output_topic:
            return "The session has no joint-output room to send commands to."
        return self.unusable_rooms

    def situation(self, now_ns: int, *, latched: str, defect: str, unguarded: str) -> Situation:
        """All a start depends on."""
        measured = self.measured
        return Situation(
            arm=self.arm,
            session=self.session,
            status=self.status,
            inference_age_s=self.report.age_s(now_ns),
            inference_timeout_s=self._params.inference_timeout_s,
            space=self.space,
            space_problem=self._space_problem,
            measured=measured,
            joint_age_s=measured.age_s(now_ns),
            joint_timeout_s=self.joint_timeout_s,
            room_problem=self._room_problem(),
            foreign_publishers=self.foreign,
            embodiment_problem=self.embodiment_problem(),
            latched=latched,
            defect=defect,
            unguarded=unguarded,
        )
