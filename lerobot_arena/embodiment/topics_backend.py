# SPDX-License-Identifier: Apache-2.0
"""An arm that already runs under ros2_control: its joint states in, controller commands out."""

import threading
from collections.abc import Mapping, Sequence

from lerobot_arena.core.clock import Clock, SystemClock, seconds_between
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.units import RADIANS
from lerobot_arena.embodiment.params import TRAJECTORY, EmbodimentParams
from lerobot_arena.embodiment.protocol import Condition, JointReading, Outlet
from lerobot_arena.embodiment.wire import Wire


def camera_sources(entries: Sequence[str]) -> dict[str, str]:
    """Camera name → image topic, from `name=/topic` entries. Raises InvalidInput."""
    sources: dict[str, str] = {}
    for entry in entries:
        name, equals, topic = entry.partition("=")
        if not (name and equals and topic.startswith("/")):
            raise InvalidInput(f"camera_topics: {entry!r} is not name=/image/topic.")
        if name in sources:
            raise InvalidInput(f"camera_topics names {name!r} twice.")
        sources[name] = topic
    return sources


class TopicsEmbodiment:
    """Relays. Other joints of the source (a base, another arm) are ignored; ours go out under the names it uses."""

    def __init__(
        self, robot: RobotSpec, params: EmbodimentParams, wire: Wire, clock: Clock | None = None
    ) -> None:
        self.robot = robot
        self._params = params
        self._wire = wire
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._outlet: Outlet | None = None
        self._cameras = camera_sources(params.camera_topics) if params.publish_cameras else {}
        self._seen: tuple[str, ...] | None = None
        self._order: list[int] = []
        self._own_names: list[str] = []
        self._received_ns: int | None = None
        self._refusal = ""
        self._is_stopped = False
        self._last_period_s = 0.0
        self._messages = self._refused = self._sent = 0

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(self._cameras)

    @property
    def camera_topics(self) -> Mapping[str, str]:
        """Where each camera's images come from; the node relays them as bytes."""
        return self._cameras

    def connect(self, outlet: Outlet) -> None:
        """Nothing to wait for: the arm counts as connected while its joint states come."""
        self._outlet = outlet

    def receive(self, sample: JointSample, velocities: FloatArray | None) -> None:
        """One message of the source. A message without all our joints is counted and explained in the status."""
        if self._outlet is None:
            return
        try:
            order = self._order_of(sample.names)
        except InvalidInput as error:
            self._refused += 1
            self._refusal = str(error)
            return
        self._refusal = ""
        self._received_ns = sample.receipt_ns
        self._messages += 1
        ours = JointSample(
            self.robot.joint_names, sample.values[order], RADIANS, sample.stamp_ns, sample.receipt_ns
        )
        has_velocities = velocities is not None and velocities.shape == sample.values.shape
        self._outlet.joints(JointReading(ours, velocities[order] if has_velocities else None))  # type: ignore[index]

    def command(self, positions: FloatArray, period_s: float) -> None:
        with self._lock:
            if self._is_stopped or not self._order:
                return
            values = positions.tolist()
            if self._params.command_kind == TRAJECTORY:
                seconds = period_s * self._params.trajectory_periods
                self._wire.send_trajectory(self._own_names, values, seconds)
                self._last_period_s = seconds
            else:
                self._wire.send_group(values)
            self._sent += 1

    def hold(self) -> None:
        """Nothing to forget: a target goes out when it comes."""

    def emergency_stop(self) -> str:
        """Send no target. An empty trajectory cancels where the controller takes it; a new position never is sent."""
        with self._lock:
            self._is_stopped = True
            listeners = self._wire.listener_count()
            topic = self._params.command_topic
            if self._params.command_kind == TRAJECTORY:
                self._wire.send_trajectory(self._own_names, [], 0.0)
        if not listeners:
            return f"Nothing is sent any more, but nobody listens on {topic}: stop the arm at its controller."
        if self._params.command_kind == TRAJECTORY:
            return (
                f"Nothing but an empty trajectory (cancel) was sent on {topic}; the last one ends within "
                f"{self._last_period_s * 1e3:.0f} ms. A topic acknowledges nothing."
            )
        return f"Nothing is sent on {topic} any more; the group keeps its last target. A topic acknowledges nothing."

    def clear_emergency(self) -> None:
        with self._lock:
            self._is_stopped = False

    def condition(self) -> Condition:
        received_ns = self._received_ns
        age_s = None if received_ns is None else seconds_between(received_ns, self._clock.steady_ns())
        counters = (
            ("joint_messages", str(self._messages)),
            ("joint_messages_refused", str(self._refused)),
            ("commands_sent", str(self._sent)),
        )
        if age_s is None or age_s > self._params.joint_source_timeout_s:
            ago = "yet" if age_s is None else f"for {age_s:.1f} s"
            reason = (
                self._refusal
                or f"No joint state on {self._params.joint_topic} {ago}; is the arm's driver up?"
            )
            return Condition(False, reason, counters)
        listeners = self._wire.listener_count()
        message = "" if listeners else f"No controller listens on {self._params.command_topic}."
        return Condition(True, message, counters)

    def close(self) -> None:
        """The controller keeps its last target."""
        self._outlet = None

    def _order_of(self, names: tuple[str, ...]) -> list[int]:
        if names == self._seen:
            return self._order
        order = []
        for joint in self.robot.joints:
            found = [i for i, name in enumerate(names) if name == joint.name or name in joint.aliases]
            if len(found) != 1:
                what = "does not have" if not found else "has more than one"
                raise InvalidInput(
                    f"{self._params.joint_topic} {what} joint {joint.name!r} of robot {self.robot.name!r}; "
                    f"it has {', '.join(names)}. Add the name to the joint's aliases in the robot file."
                )
            order.append(found[0])
        self._seen, self._order = names, order
        self._own_names = [names[index] for index in order]
        return order


def make(robot: RobotSpec, params: EmbodimentParams, wire: Wire) -> TopicsEmbodiment:
    """For the table of backends."""
    return TopicsEmbodiment(robot, params, wire)
