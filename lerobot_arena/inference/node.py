# SPDX-License-Identifier: Apache-2.0
"""The inference process: topics in, the engine, topics out. Computes nothing on the executor's thread."""

import threading
import time
from functools import partial
from typing import Any

from rclpy.exceptions import InvalidTopicNameException, NameValidationException
from rclpy.validate_full_topic_name import validate_full_topic_name

from lerobot_arena.core import topics
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import ERROR, SessionStatus, SessionsWanted, SessionWanted
from lerobot_arena.inference.cameras import CameraFeeds, Frame
from lerobot_arena.inference.engine import Engine
from lerobot_arena.inference.params import InferenceParams
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.cdr import frame_from_serialised, stamp_ns_of_serialised
from lerobot_arena.ros.host import ArenaNode, run_node

_LOOK_PERIOD_S = 1.0
_OK, _WARN, _ERROR = 0, 1, 2


class NodeClock:
    """Steady time of the machine; labels by the node's clock, which is the simulation's with use_sim_time."""

    def __init__(self, node: ArenaNode) -> None:
        self._node = node

    def steady_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)


class InferenceNode(ArenaNode):
    """One per machine; serves the sessions of all arms."""

    params_type = InferenceParams

    def __init__(self) -> None:
        super().__init__("inference")
        self._times = NodeClock(self)
        self._status_lock = threading.Lock()
        self._engine: Engine | None = None
        self._joint_topics: dict[tuple[str, bool], tuple[Any, set[str]]] = {}
        self._arms: dict[str, tuple[Any, Any]] = {}

    def set_up(self) -> None:
        for entry in ("", *self.params.robots):
            load_robot(
                self.params.robot_of(entry.partition("=")[0])
            )  # a wrong one is refused now, not at a session
        self._engine = Engine(
            self.params,
            self._times,
            publish=self._publish_chunk,
            on_change=self._publish_status,
            on_fault=self.get_logger().error,
        )
        self._status = self.create_publisher(convert.own.SessionsStatus, topics.SESSIONS, qos.LATCHED)
        self._diagnostics = self.create_publisher(convert.DiagnosticArray, "/diagnostics", qos.STREAM)
        kinds = {convert.Image: "", convert.CompressedImage: topics.compressed("")}
        self._feeds = CameraFeeds(
            self._listen_raw, self.destroy_subscription, kinds, self._times, self._on_frame
        )
        self._wanted = self.create_subscription(
            convert.own.SessionsWanted, topics.WANTED, self._on_wanted, qos.LATCHED
        )
        self._clocks = [
            self.create_timer(1.0 / self.params.status_rate_hz, self._repeat_status),
            self.create_timer(_LOOK_PERIOD_S, self._look),
        ]

    def start(self) -> None:
        self._publish_status()

    def tear_down(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        engine.close()
        self._feeds.close()
        for subscription, _ in self._joint_topics.values():
            self.destroy_subscription(subscription)
        self._joint_topics.clear()
        for arm in list(self._arms):
            self._drop_arm(arm)
        for timer in self._clocks:
            self.destroy_timer(timer)
        self.destroy_subscription(self._wanted)
        self.destroy_publisher(self._status)
        self.destroy_publisher(self._diagnostics)

    # Wanted state

    def _on_wanted(self, message: Any) -> None:
        engine = self._engine
        if engine is None:
            return
        wanted = convert.from_msg(SessionsWanted, message)
        engine.reconcile(wanted)
        sound = [session for session in wanted.sessions if self._has_sound_topics(session)]
        self._feeds.follow(
            {
                (topic, session.session_id, camera)
                for session in sound
                for camera, topic in zip(session.camera_names, session.camera_topics, strict=False)
            }
        )
        self._follow_joints(sound)
        arms = {session.arm for session in sound}
        for arm in set(self._arms) - arms:
            self._drop_arm(arm)
        for arm in arms - set(self._arms):
            self._add_arm(arm)

    def _has_sound_topics(self, session: SessionWanted) -> bool:
        arm = topics.on_arm(session.arm, topics.ACTION_CHUNK)
        try:
            for topic in (arm, *session.camera_topics, *filter(None, [session.joint_input_topic])):
                validate_full_topic_name(topic)
        except (InvalidTopicNameException, NameValidationException) as error:
            found = self._engine.session(session.session_id) if self._engine is not None else None
            if found is not None:
                found.fail_to_load(f"The session names a topic that ROS does not allow: {error}")
            return False
        return True

    def _listen_raw(self, kind: type, topic: str, callback: Any) -> Any:
        # rclpy looks at the callback's signature to decide whether it wants the message's info as well
        return self.create_subscription(
            kind, topic, lambda data, info: callback(data, info), qos.SENSOR, raw=True
        )

    def _follow_joints(self, sessions: list[SessionWanted]) -> None:
        asked: dict[tuple[str, bool], set[str]] = {}
        for session in sessions:
            asked.setdefault((session.joint_input_topic, session.is_virtual), set()).add(session.session_id)
        for key in set(self._joint_topics) - set(asked):
            self.destroy_subscription(self._joint_topics.pop(key)[0])
        for key, ids in asked.items():
            topic, is_room = key
            if key in self._joint_topics:
                self._joint_topics[key][1].clear()
                self._joint_topics[key][1].update(ids)
            elif topic:
                kind = convert.own.RoomJoints if is_room else convert.JointState
                callback = partial(self._on_joints, ids, is_room)
                self._joint_topics[key] = (self.create_subscription(kind, topic, callback, qos.SENSOR), ids)

    def _add_arm(self, arm: str) -> None:
        chunks = self.create_publisher(
            convert.own.ActionChunk, topics.on_arm(arm, topics.ACTION_CHUNK), qos.STREAM
        )
        requests = self.create_subscription(
            convert.own.ChunkRequest, topics.on_arm(arm, topics.CHUNK_REQUEST), self._on_request, qos.EVENT
        )
        self._arms[arm] = (chunks, requests)

    def _drop_arm(self, arm: str) -> None:
        chunks, requests = self._arms.pop(arm)
        self.destroy_subscription(requests)
        self.destroy_publisher(chunks)

    # Messages

    def _on_request(self, message: Any) -> None:
        if self._engine is not None:
            self._engine.request(convert.from_msg(ChunkRequest, message))

    def _on_joints(self, session_ids: set[str], is_room: bool, message: Any) -> None:
        receipt_ns = self._times.steady_ns()
        read = convert.joints_from_room if is_room else convert.joints_from_state
        for session_id in session_ids:
            session = self._engine.session(session_id) if self._engine is not None else None
            if session is None:
                continue
            try:
                session.take_joints(read(message, receipt_ns))
            except InvalidInput as error:
                session.refuse_joints(str(error))

    def _on_frame(self, frame: Frame) -> None:
        receipt_ns = self._times.steady_ns()
        session = self._engine.session(frame.session_id) if self._engine is not None else None
        if session is None:
            return
        try:
            stamp_ns = stamp_ns_of_serialised(frame.data)
        except InvalidInput as error:
            session.refuse_frame(frame.camera, str(error))
            return
        session.take_frame(
            frame.camera,
            stamp_ns,
            receipt_ns,
            lambda: frame_from_serialised(frame.data, frame.kind, frame.camera, receipt_ns).image,
            lost=frame.lost,
        )

    # Answers; from any thread

    def _publish_chunk(self, chunk: ActionChunk) -> None:
        engine = self._engine
        session = engine.session(chunk.session_id) if engine is not None else None
        arm = self._arms.get(session.wanted.arm) if session is not None else None
        if arm is not None:
            arm[0].publish(convert.chunk_to_msg(chunk))

    def _publish_status(self) -> None:
        engine = self._engine
        if engine is None:
            return
        with self._status_lock:  # so that an older status never overtakes a newer one
            self._status.publish(convert.to_msg(engine.status()))

    def _repeat_status(self) -> None:
        engine = self._engine
        if engine is not None and engine.status().sessions:
            self._publish_status()

    def _look(self) -> None:
        engine = self._engine
        self._feeds.look()
        for session in engine.status().sessions if engine is not None else ():
            self._diagnostics.publish(
                convert.diagnostics_to_msg(
                    f"inference: {session.session_id}",
                    session.policy_type or "unknown",
                    level=_level(session),
                    message=session.error_message or session.miss_reason or session.status,
                    values=_values(session),
                    stamp_ns=self._times.wall_ns(),
                )
            )


def _level(session: SessionStatus) -> int:
    return (
        _ERROR
        if session.status == ERROR
        else _WARN
        if session.miss_reason or any(session.images_lost)
        else _OK
    )


def _values(session: SessionStatus) -> list[tuple[str, str]]:
    counters = ("inference_count", "errors", "misses", "joints_received", "skew_s")
    found = [(name, str(getattr(session, name))) for name in counters]
    for name, received, lost in zip(session.camera_names, session.images_received, session.images_lost):
        found.append((f"camera {name}", f"{received} received, {lost} lost"))
    found += [
        (f"{stage.name} ms", f"p50 {stage.p50_ms:.2f}, p99 {stage.p99_ms:.2f}") for stage in session.stages
    ]
    return found


def main() -> int:
    """Entry point of the process."""
    return run_node(InferenceNode)


if __name__ == "__main__":
    raise SystemExit(main())
