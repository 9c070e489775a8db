# SPDX-License-Identifier: Apache-2.0
"""The only file that imports message types: messages ⇄ core values.

Nodes name message and service classes through this module's attributes. Own messages mirror core dataclasses
field for field, so `to_msg` and `from_msg` map by name; the few that differ have a function of their own.
"""

from array import array
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import GetParameters, ListParameters
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Empty, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lerobot_arena import msg as own
from lerobot_arena.core import cycle, guard_config, hardware, room, session
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import CameraFrame, FloatArray, JointSample
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.shape import BOX, SPHERE, TEXT, Shape
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.units import RADIANS
from lerobot_arena.core.verdict import Decision, Outcome, Verdict

__all__ = [
    "ChangeState", "CompressedImage", "DiagnosticArray", "Empty", "Float64MultiArray", "GetParameters", "GetState",
    "Image", "JointState", "JointTrajectory", "JointTrajectoryPoint", "ListParameters", "Log", "String",
    "Transition", "Trigger", "chunk_from_msg",
    "chunk_to_msg", "command_from_msg", "cycle_from_msg", "cycle_to_msg", "diagnostics_to_msg",
    "frame_from_compressed", "frame_from_image", "frame_to_image", "from_msg", "group_to_msg", "joints_from_room",
    "joints_from_state", "joints_to_room", "joints_to_state", "markers_to_msg", "own", "to_msg", "trajectory_to_msg",
]  # fmt: skip

NS = 1_000_000_000
_OLDEST_S = 3600.0


def stamp_to_msg(stamp_ns: int) -> Time:
    """Nanoseconds as builtin_interfaces/Time."""
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def stamp_ns_of(stamp: Time) -> int:
    """builtin_interfaces/Time as nanoseconds."""
    return int(stamp.sec) * NS + int(stamp.nanosec)


def doubles(values: Sequence[float] | FloatArray) -> "array[float]":
    """What a float64[] field takes without a copy per element."""
    return array("d", np.ascontiguousarray(values, dtype=np.float64).tobytes())


_CLASSES: dict[type, type] = {
    StageStat: own.StageStat,
    Verdict: own.GuardVerdict,
    session.SessionWanted: own.SessionWanted,
    session.SessionsWanted: own.SessionsWanted,
    session.SessionStatus: own.SessionStatus,
    session.SessionsStatus: own.SessionsStatus,
    session.GuardState: own.GuardState,
    session.EmbodimentStatus: own.EmbodimentStatus,
    session.TaskStatus: own.TaskStatus,
    cycle.CycleRecord: own.Cycle,
    cycle.JointCommand: own.JointCommand,
    cycle.ChunkRequest: own.ChunkRequest,
    cycle.ContextEvent: own.ContextEvent,
    cycle.GuardObservation: own.GuardObservation,
    cycle.GuardAction: own.GuardAction,
    cycle.GuardLayer: own.GuardLayer,
    guard_config.BoundaryWanted: own.BoundaryWanted,
    guard_config.TaskWanted: own.TaskWanted,
    guard_config.GuardConfig: own.GuardConfig,
    guard_config.RunWanted: own.RunWanted,
    hardware.HardwareReading: own.HardwareReading,
    hardware.Score: own.Score,
    room.RoomJoints: own.RoomJoints,
    room.MediaSignal: own.MediaSignal,
}
_NESTED: dict[tuple[type, str], type] = {
    (session.SessionsWanted, "sessions"): session.SessionWanted,
    (session.SessionsWanted, "runs"): guard_config.RunWanted,
    (guard_config.GuardConfig, "boundaries"): guard_config.BoundaryWanted,
    (guard_config.GuardConfig, "tasks"): guard_config.TaskWanted,
    (session.SessionsStatus, "sessions"): session.SessionStatus,
    (session.SessionStatus, "stages"): StageStat,
    (session.GuardState, "stages"): StageStat,
    (cycle.CycleRecord, "stages"): StageStat,
    (cycle.CycleRecord, "verdicts"): Verdict,
    (cycle.CycleRecord, "scores"): hardware.Score,
    (cycle.GuardObservation, "scores"): hardware.Score,
    (cycle.GuardLayer, "verdicts"): Verdict,
}


def _field_to_msg(value: Any) -> Any:
    if type(value) in _CLASSES:
        return to_msg(value)
    if isinstance(value, Decision | Outcome | RiskLevel):
        return int(value)
    if isinstance(value, tuple):
        if value and isinstance(value[0], float):
            return doubles(value)
        return [_field_to_msg(item) for item in value]
    return value


def to_msg(value: Any) -> Any:
    """The own message that mirrors a core dataclass; `stamp_ns` becomes `stamp`."""
    message = _CLASSES[type(value)]()
    for item in fields(value):
        content = getattr(value, item.name)
        if item.name == "stamp_ns":
            message.stamp = stamp_to_msg(content)
        else:
            setattr(message, item.name, _field_to_msg(content))
    return message


def from_msg[T](value_type: type[T], message: Any) -> T:
    """The core dataclass that mirrors an own message."""
    values: dict[str, Any] = {}
    for item in fields(value_type):  # type: ignore[arg-type]
        if item.name == "stamp_ns":
            values["stamp_ns"] = stamp_ns_of(message.stamp)
            continue
        content = getattr(message, item.name)
        nested = _NESTED.get((value_type, item.name))
        if nested is not None:
            content = tuple(from_msg(nested, entry) for entry in content)
        elif item.name == "decision":
            content = Decision(content)
        elif item.name == "outcome":
            content = Outcome(content)
        elif item.name == "risk":
            content = RiskLevel(content)
        elif not isinstance(content, str | bool | int | float):
            content = tuple(content.tolist()) if hasattr(content, "tolist") else tuple(content)
        values[item.name] = content
    return value_type(**values)


def cycle_to_msg(record: cycle.CycleRecord) -> Any:
    """CycleRecord as msg/Cycle."""
    return to_msg(record)


def cycle_from_msg(message: Any) -> cycle.CycleRecord:
    """msg/Cycle as CycleRecord. Raises ValueError on an unknown decision."""
    return from_msg(cycle.CycleRecord, message)


def command_from_msg(message: Any) -> cycle.JointCommand:
    """msg/JointCommand as JointCommand."""
    return from_msg(cycle.JointCommand, message)


def _sample(
    names: Sequence[str], values: Sequence[float], unit: str, stamp: Time, receipt_ns: int
) -> JointSample:
    if len(names) != len(values):
        raise InvalidInput(f"A joint message has {len(values)} values for {len(names)} names.")
    return JointSample(tuple(names), np.array(values, dtype=np.float64), unit, stamp_ns_of(stamp), receipt_ns)


def joints_from_state(message: Any, receipt_ns: int) -> JointSample:
    """sensor_msgs/JointState (radians) as JointSample. Raises InvalidInput on unequal lengths."""
    return _sample(message.name, message.position, RADIANS, message.header.stamp, receipt_ns)


def joints_to_state(sample: JointSample, velocities: FloatArray | None = None) -> Any:
    """JointSample in radians as sensor_msgs/JointState."""
    message = JointState(name=list(sample.names), position=doubles(sample.values))
    message.header.stamp = stamp_to_msg(sample.stamp_ns)
    if velocities is not None:
        message.velocity = doubles(velocities)
    return message


def joints_from_room(message: Any, receipt_ns: int) -> JointSample:
    """msg/RoomJoints as JointSample; may name a part of the joints.

    What was old when it was published counts as received that much earlier. Raises InvalidInput on unequal lengths or
    an impossible age.
    """
    if not 0.0 <= message.age_s <= _OLDEST_S:
        raise InvalidInput(f"A joint message says that its values are {message.age_s:g} s old.")
    return _sample(
        message.names, message.values, message.unit, message.stamp, receipt_ns - round(message.age_s * NS)
    )


def joints_to_room(
    names: Sequence[str], values: FloatArray, unit: str, sequence: int, stamp_ns: int, *, source: str = ""
) -> Any:
    """Joint values as msg/RoomJoints."""
    return own.RoomJoints(
        stamp=stamp_to_msg(stamp_ns),
        sequence=sequence,
        unit=unit,
        names=list(names),
        values=doubles(values),
        source=source,
    )


def chunk_from_msg(message: Any) -> ActionChunk:
    """msg/ActionChunk as ActionChunk. Raises InvalidInput when its size does not fit its joint names."""
    width = len(message.joint_names)
    values = np.array(message.actions, dtype=np.float64)
    if width == 0 or values.size == 0 or values.size % width:
        raise InvalidInput(
            f"The action chunk has {values.size} values for {width} joints: not steps × joints."
        )
    return ActionChunk(
        actions=values.reshape(-1, width),
        joint_names=tuple(message.joint_names),
        unit=message.unit,
        dt_s=message.dt_s,
        session_id=message.session_id,
        epoch=message.epoch,
        request_sequence=message.request_sequence,
        sequence=message.sequence,
        observation_stamp_ns=stamp_ns_of(message.observation_stamp),
        observation_age_s=message.observation_age_s,
        execute_steps=message.execute_steps,
        skew_s=message.skew_s,
        scores=tuple(from_msg(hardware.Score, score) for score in message.scores),
        stage_ms={stage.name: stage.p50_ms for stage in message.stages},
    )


def chunk_to_msg(chunk: ActionChunk) -> Any:
    """ActionChunk as msg/ActionChunk."""
    return own.ActionChunk(
        session_id=chunk.session_id,
        epoch=chunk.epoch,
        request_sequence=chunk.request_sequence,
        sequence=chunk.sequence,
        observation_stamp=stamp_to_msg(chunk.observation_stamp_ns),
        observation_age_s=chunk.observation_age_s,
        dt_s=chunk.dt_s,
        execute_steps=chunk.execute_steps,
        unit=chunk.unit,
        joint_names=list(chunk.joint_names),
        actions=doubles(chunk.actions),
        skew_s=chunk.skew_s,
        scores=[to_msg(score) for score in chunk.scores],
        stages=[to_msg(StageStat(name, 1, ms, ms, ms, ms)) for name, ms in chunk.stage_ms.items()],
    )


def _pixels(message: Any) -> Any:
    """H×W×3 rgb of an Image. Raises InvalidInput for an encoding that neither we nor cv_bridge know."""
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1}.get(message.encoding)
    if channels is None:
        return _with_cv_bridge(message)
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height == 0 or width == 0 or step < width * channels or len(message.data) < height * step:
        raise InvalidInput(
            f"A {width}×{height} {message.encoding} image came with {len(message.data)} bytes."
        )
    raw = np.frombuffer(message.data, dtype=np.uint8, count=height * step).reshape(height, step)
    pixels = raw[:, : width * channels].reshape(height, width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, ::-1] if message.encoding == "bgr8" else pixels


def _with_cv_bridge(message: Any) -> Any:
    try:
        from cv_bridge import CvBridge

        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except Exception as error:  # cv_bridge raises its own types, and fails to import under numpy 2
        raise InvalidInput(
            f"Image encoding {message.encoding!r} needs cv_bridge, which failed: {error}. "
            "Publish rgb8, bgr8, mono8, or a CompressedImage."
        ) from error


def frame_from_image(message: Any, camera: str, receipt_ns: int) -> CameraFrame:
    """sensor_msgs/Image as CameraFrame (rgb, no copy for rgb8). Raises InvalidInput."""
    return CameraFrame(camera, _pixels(message), stamp_ns_of(message.header.stamp), receipt_ns)


def frame_from_compressed(message: Any, camera: str, receipt_ns: int) -> CameraFrame:
    """sensor_msgs/CompressedImage (JPEG, PNG) as CameraFrame. Raises InvalidInput when it does not decode."""
    import cv2

    data = np.frombuffer(message.data, dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise InvalidInput(f"A compressed image of {data.size} bytes ({message.format!r}) does not decode.")
    return CameraFrame(camera, pixels[:, :, ::-1], stamp_ns_of(message.header.stamp), receipt_ns)


def frame_to_image(frame: CameraFrame, frame_id: str = "") -> Any:
    """CameraFrame as sensor_msgs/Image rgb8."""
    height, width, _ = frame.image.shape
    message = Image(height=height, width=width, encoding="rgb8", step=width * 3)
    message.header.frame_id = frame_id or f"{frame.camera}_optical_frame"
    message.header.stamp = stamp_to_msg(frame.stamp_ns)
    # array('B') is the only type rclpy takes for uint8[] without checking every element
    message.data = array("B", np.ascontiguousarray(frame.image).tobytes())
    return message


def trajectory_to_msg(names: Sequence[str], positions: Sequence[float], seconds: float) -> Any:
    """A JointTrajectory that starts now and has one point, due in `seconds`; without positions it has no point."""
    message = JointTrajectory(joint_names=list(names))
    if len(positions):
        due_ns = round(seconds * NS)
        point = JointTrajectoryPoint(positions=doubles(positions))
        point.time_from_start = Duration(sec=due_ns // NS, nanosec=due_ns % NS)
        message.points = [point]
    return message


def group_to_msg(positions: Sequence[float]) -> Any:
    """Float64MultiArray of a position group."""
    return Float64MultiArray(data=doubles(positions))


def diagnostics_to_msg(
    name: str, hardware: str, *, level: int, message: str, values: Sequence[tuple[str, str]], stamp_ns: int
) -> Any:
    """DiagnosticArray with one status; `level` 0 ok, 1 warn, 2 error."""
    entries = [KeyValue(key=key, value=value) for key, value in values]
    status = DiagnosticStatus(
        level=bytes([level]), name=name, hardware_id=hardware, message=message, values=entries
    )
    array_message = DiagnosticArray(status=[status])
    array_message.header.stamp = stamp_to_msg(stamp_ns)
    return array_message


def markers_to_msg(shapes: Sequence[Shape], frame_id: str, stamp_ns: int) -> Any:
    """Shapes as a MarkerArray that replaces whatever its topic showed before."""
    from visualization_msgs.msg import Marker, MarkerArray

    types = {BOX: Marker.CUBE, SPHERE: Marker.SPHERE, TEXT: Marker.TEXT_VIEW_FACING}
    markers = [Marker(action=Marker.DELETEALL)]
    for number, shape in enumerate(shapes):
        marker = Marker(ns=shape.group, id=number, type=types[shape.kind], text=shape.text)
        place, size, colour = marker.pose.position, marker.scale, marker.color
        place.x, place.y, place.z = shape.centre_m
        size.x, size.y, size.z = shape.size_m
        colour.r, colour.g, colour.b, colour.a = shape.colour
        markers.append(marker)
    for marker in markers:
        marker.header.frame_id = frame_id
        marker.header.stamp = stamp_to_msg(stamp_ns)
    return MarkerArray(markers=markers)
