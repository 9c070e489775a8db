# SPDX-License-Identifier: Apache-2.0
"""The recorder process of one arm (its namespace). Callbacks pass bytes on; a thread of its own writes them."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rclpy.serialization import deserialize_message

from lerobot_arena.core import topics
from lerobot_arena.core.clock import SystemClock
from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.ids import check_arm
from lerobot_arena.core.session import GuardState, SessionsStatus, SessionsWanted
from lerobot_arena.recording.disk import RealDisk
from lerobot_arena.recording.edge import Ears, belonging_of
from lerobot_arena.recording.images import ImagePolicy
from lerobot_arena.recording.names import recordings_root
from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.recording.recorder import Recorder
from lerobot_arena.recording.session_record import Surroundings, robot_hash, session_record
from lerobot_arena.recording.thread import RecorderThread
from lerobot_arena.ros import convert, qos
from lerobot_arena.ros.host import ArenaNode, quiet_executor, run_node

_LOOK_S = 0.5
_DIAGNOSTICS_S = 1.0
_ANSWER_S = 5.0
_END_S = 10.0


class RecorderNode(ArenaNode):
    """Idle until `recorder/start`, or from the start with record_on_start."""

    params_type = RecorderParams

    def __init__(self) -> None:
        super().__init__("recorder")
        self._thread: RecorderThread | None = None
        self._made: list[tuple[Callable[[Any], Any], Any]] = []

    def set_up(self) -> None:
        arm = check_arm(self.arm)
        self._wanted = SessionsWanted()
        self._raw: dict[str, bytes] = {}
        self._robot_hash = robot_hash(self.params.robot)
        root = recordings_root(self.params.folder, os.environ)
        self._recorder = Recorder(
            self.params, root, RealDisk(), arm=arm, clock=SystemClock(), describe=self._describe
        )
        self._thread = RecorderThread(self._recorder, self._on_death)
        with_images = ImagePolicy(self.params.images) is not ImagePolicy.NONE
        self._ears = Ears(self, arm, self._recorder.take, with_images=with_images)
        self._last_status = ""
        self._status = self._keep(
            self.create_publisher(convert.String, topics.RECORDER_STATUS, qos.LATCHED), self.destroy_publisher
        )
        self._diagnostics = self._keep(
            self.create_publisher(convert.DiagnosticArray, topics.DIAGNOSTICS, qos.EVENT),
            self.destroy_publisher,
        )
        self._listen()

    def _listen(self) -> None:
        def follow(kind: type, topic: str, callback: Callable[[Any], None], *, raw: bool) -> None:
            made = self.create_subscription(kind, topic, callback, qos.LATCHED, raw=raw)
            self._keep(made, self.destroy_subscription)

        follow(convert.own.SessionsWanted, topics.WANTED, self._on_wanted, raw=False)
        follow(
            convert.own.SessionsStatus, topics.SESSIONS, lambda raw: self._raw.update(sessions=raw), raw=True
        )
        follow(convert.own.GuardState, topics.GUARD_STATE, lambda raw: self._raw.update(guard=raw), raw=True)

    def _keep(self, made: Any, destroy: Callable[[Any], Any]) -> Any:
        self._made.append((destroy, made))
        return made

    def start(self) -> None:
        assert self._thread is not None
        self._thread.begin()
        verbs: Mapping[str, Callable[[], str]] = {
            "start": self._recorder.start,
            "stop": self._recorder.stop,
            "split": self._recorder.split,
            "snapshot": self._recorder.snapshot,
            "status": lambda: self._recorder.status(self._ears.skipped).as_json(),
        }
        for verb, act in verbs.items():
            name = topics.RECORDER_VERBS[verb]
            made = self.create_service(convert.Trigger, name, self._answering(verb, act))
            self._keep(made, self.destroy_service)
        self._keep(self.create_timer(_LOOK_S, self._look), self.destroy_timer)
        self._keep(self.create_timer(_DIAGNOSTICS_S, self._diagnose), self.destroy_timer)
        if self.params.record_on_start:
            self._thread.call(lambda: self._recorder.start(insist=True), _ANSWER_S)
        self._look()

    def stop(self) -> None:
        if self._thread is not None:
            self._thread.end(_END_S)
            self._publish_status()
            self._thread = None

    def tear_down(self) -> None:
        if hasattr(self, "_ears"):
            self._ears.close()
        while self._made:
            destroy, made = self._made.pop()
            destroy(made)

    def _on_death(self, reason: str) -> None:
        self.get_logger().fatal(f"{reason} Control is not affected; the process ends to be started again.")
        os.kill(os.getpid(), signal.SIGTERM)

    def _answering(self, verb: str, act: Callable[[], str]) -> Callable[[Any, Any], Any]:
        def answer(_request: Any, response: Any) -> Any:
            assert self._thread is not None
            try:
                response.message = self._thread.call(act, _ANSWER_S)
                response.success = True
            except ArenaError as error:
                response.success, response.message = False, str(error)
                self.get_logger().warning(f"{verb}: {error}")
            self._look()
            return response

        return answer

    def _on_wanted(self, message: Any) -> None:
        self._wanted = convert.from_msg(SessionsWanted, message)
        self._ears.belonging = belonging_of(self._wanted, self.arm)

    def _look(self) -> None:
        if self._thread is None:
            return
        if self._recorder.is_recording:
            self._ears.look()
        elif self._ears.topic_count:
            self._ears.close()
        self._publish_status()

    def _publish_status(self) -> None:
        assert self._thread is not None
        text = replace(self._thread.status, skipped=dict(self._ears.skipped)).as_json()
        if text != self._last_status:
            self._last_status = text
            self._status.publish(convert.String(data=text))

    def _diagnose(self) -> None:
        if self._thread is None:
            return
        status = replace(self._thread.status, skipped=dict(self._ears.skipped))
        self._diagnostics.publish(
            convert.diagnostics_to_msg(
                f"{self.arm}: recorder",
                str(self._recorder.root),
                level=status.level,
                message=status.message or status.state,
                values=status.values(),
                stamp_ns=time.time_ns(),
            )
        )

    def _describe(self) -> dict[str, str]:
        """Called by the recorder's thread."""
        sessions, guard = self._raw.get("sessions"), self._raw.get("guard")
        about = Surroundings(
            self.arm,
            self.params.robot,
            self._robot_hash,
            self._wanted,
            _read(SessionsStatus, convert.own.SessionsStatus, sessions),
            _read(GuardState, convert.own.GuardState, guard),
        )
        return session_record(about)


def _read[T](value_type: type[T], message_type: type, raw: bytes | None) -> T | None:
    return convert.from_msg(value_type, deserialize_message(raw, message_type)) if raw else None


def main() -> None:
    """Entry of `python -m lerobot_arena.recording.node` and of `ros2 run lerobot_arena recorder_node`."""
    raise SystemExit(run_node(RecorderNode, make_executor=quiet_executor))


if __name__ == "__main__":
    main()
