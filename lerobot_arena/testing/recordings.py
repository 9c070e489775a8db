# SPDX-License-Identifier: Apache-2.0
"""Recordings made of values, without a recorder and without ROS: what readers are tested on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import NS
from lerobot_arena.core.cycle import CycleRecord, action_of, layers_of, observation_of
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.core.session import RUNNING, GuardState
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording.schemas import definition_of
from lerobot_arena.testing.bridge_fake_values import fake_cycle

SESSION_ID = "sess_20261122_120000_abc123"
BEGIN_NS = 1_795_000_000 * NS
PERIOD_NS = 20_000_000
OWN = "lerobot_arena/msg"


def stamp(stamp_ns: int) -> dict[str, int]:
    """builtin_interfaces/Time."""
    return {"sec": stamp_ns // NS, "nanosec": stamp_ns % NS}


def message_of(value: Any) -> Any:
    """A core value as the fields of the message that mirrors it."""
    if is_dataclass(value) and not isinstance(value, type):
        fields = {name: message_of(getattr(value, name)) for name in value.__dataclass_fields__}
        return fields | ({"stamp": stamp(fields.pop("stamp_ns"))} if "stamp_ns" in fields else {})
    if isinstance(value, IntEnum):
        return int(value)
    return [message_of(item) for item in value] if isinstance(value, tuple) else value


@cache
def _encoder(type_name: str) -> Any:
    from mcap_ros2._dynamic import serialize_dynamic

    return serialize_dynamic(type_name, definition_of(type_name).text)[type_name]  # type: ignore[no-untyped-call]


def serialised(type_name: str, message: Mapping[str, Any]) -> bytes:
    """CDR of a message given as its fields."""
    return bytes(_encoder(type_name)(message))


def joint_state(sample: JointSample) -> dict[str, Any]:
    """sensor_msgs/JointState."""
    header = {"stamp": stamp(sample.stamp_ns), "frame_id": ""}
    return {
        "header": header, "name": list(sample.names), "position": sample.values.tolist(), "velocity": [], "effort": [],
    }  # fmt: skip


def picture(pixels: Any, stamp_ns: int, *, as_jpeg: bool = False) -> tuple[str, dict[str, Any]]:
    """(type, sensor_msgs/Image or CompressedImage) of H×W×3 rgb."""
    header = {"stamp": stamp(stamp_ns), "frame_id": "camera"}
    if as_jpeg:
        import cv2

        data = cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes()
        return "sensor_msgs/msg/CompressedImage", {"header": header, "format": "jpeg", "data": data}
    height, width, _ = pixels.shape
    return "sensor_msgs/msg/Image", {
        "header": header, "height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": width * 3,
        "data": pixels.tobytes(),
    }  # fmt: skip


def chunk_message(chunk: ActionChunk) -> dict[str, Any]:
    """msg/ActionChunk."""
    fields = asdict(chunk)
    for name in ("stage_ms", "observation_stamp_ns", "actions", "scores"):
        fields.pop(name)
    return {
        **fields,
        "joint_names": list(chunk.joint_names),
        "observation_stamp": stamp(chunk.observation_stamp_ns),
        "actions": chunk.actions.ravel().tolist(),
        "scores": [message_of(score) for score in chunk.scores],
        "stages": [],
    }


@dataclass
class Writer:
    """An MCAP file as the recorder writes it. `end` closes it; left open it is as after a power cut."""

    path: Path
    metadata: Mapping[str, str] = field(default_factory=dict)
    chunk_bytes: int = 2**20
    compression: str = "zstd"
    is_chunked: bool = True

    def __post_init__(self) -> None:
        from mcap.writer import CompressionType
        from mcap.writer import Writer as McapWriter

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        self.mcap = McapWriter(
            self._file,
            chunk_size=self.chunk_bytes,
            compression=CompressionType[self.compression.upper()],
            use_chunking=self.is_chunked,
        )
        self.mcap.start("ros2", "test")
        if self.metadata:
            self.mcap.add_metadata("session", dict(self.metadata))
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}

    def add(self, topic: str, type_name: str, message: Mapping[str, Any], log_ns: int) -> None:
        """One message."""
        self.add_raw(topic, type_name, serialised(type_name, message), log_ns)

    def add_raw(self, topic: str, type_name: str, data: bytes, log_ns: int) -> None:
        if topic not in self._channels:
            if type_name not in self._schemas:
                text = definition_of(type_name).text.encode()
                self._schemas[type_name] = self.mcap.register_schema(type_name, "ros2msg", text)
            self._channels[topic] = self.mcap.register_channel(topic, "cdr", self._schemas[type_name])
        self.mcap.add_message(self._channels[topic], log_ns, data, log_ns)

    def add_cycle(self, record: CycleRecord, log_ns: int, arm: str = "arm") -> None:
        """A cycle and what a guard says of it after it."""
        self.add(f"/{arm}/dam/cycle", f"{OWN}/Cycle", message_of(record), log_ns)
        self.add(f"/{arm}/dam/obs", f"{OWN}/GuardObservation", message_of(observation_of(record)), log_ns + 1)
        self.add(f"/{arm}/dam/action", f"{OWN}/GuardAction", message_of(action_of(record)), log_ns + 2)
        for layer in layers_of(record):
            topic = f"/{arm}/dam/{layer.layer}"
            self.add(topic, f"{OWN}/GuardLayer", message_of(layer), log_ns + 3)

    def flush(self) -> None:
        """Close the chunk."""
        self.mcap.flush()

    def end(self) -> None:
        """Close the file as its writer does."""
        self.mcap.finish()
        self._file.close()

    def abandon(self) -> None:
        """Leave the file as it is now."""
        self._file.close()


@dataclass
class _Clock:
    now_ns: int

    def steady_ns(self) -> int:
        return self.now_ns - BEGIN_NS + NS

    def wall_ns(self) -> int:
        return self.now_ns


def cycles(
    decisions: Iterable[Decision], *, first_id: int = 1, begin_ns: int = BEGIN_NS
) -> list[CycleRecord]:
    """A running guard's cycles with these decisions, 20 ms apart, with the risk a guard computes."""
    window = RiskWindow()
    guard = GuardState("arm", state=RUNNING, session_id="s", task="default", unit="radians", epoch=7)
    found = []
    for number, decision in enumerate(decisions):
        clock = _Clock(begin_ns + number * PERIOD_NS)
        risk = window.add(decision, steady_ns=clock.steady_ns())
        record = fake_cycle(guard, first_id + number, decision, layer="L1", risk=risk, clock=clock)
        # What float32 can say exactly, so that it comes back equal.
        verdicts = tuple(replace(verdict, latency_ms=0.015625) for verdict in record.verdicts)
        found.append(replace(record, active_boundaries=("workspace",), verdicts=verdicts))
    return found


def write_session(
    root: Path,
    decisions: Sequence[Decision],
    *,
    session_id: str = SESSION_ID,
    files: int = 1,
    per_chunk: int = 25,
    with_pictures: bool = True,
    is_closed: bool = True,
    size: tuple[int, int] = (48, 64),
    told: Mapping[str, str] | None = None,
) -> Path:
    """A session of one arm: cycles, joints at their rate, pictures of camera `front` every other cycle. Its folder.

    `told` stands in its metadata as well.
    """
    folder, records = root / session_id, cycles(decisions)
    each = -(-len(records) // files)
    metadata = {
        "session_id": session_id,
        "arm": "arm",
        "control_frequency_hz": "50",
        "task": "default",
        **(told or {}),
    }
    stem = session_id.replace("sess_", "session_")
    for number in range(files):
        path = folder / (f"{stem}_{number}.mcap" if number else f"{stem}.mcap")
        writer = Writer(path, metadata)
        for count, record in enumerate(records[number * each : (number + 1) * each]):
            _write_cycle(writer, record, size if with_pictures and record.cycle_id % 2 else None)
            if count % per_chunk == per_chunk - 1:
                writer.flush()
        writer.end() if is_closed or number < files - 1 else writer.abandon()
    return folder


def _write_cycle(writer: Writer, record: CycleRecord, size: tuple[int, int] | None) -> None:
    now_ns = record.stamp_ns
    sample = JointSample(record.joint_names, np.array(record.measured), "radians", now_ns - 2, now_ns)
    writer.add("/arm/joint_states", "sensor_msgs/msg/JointState", joint_state(sample), now_ns - 2)
    if size is not None:
        pixels = np.full((*size, 3), record.cycle_id % 256, np.uint8)
        pixels[size[0] // 2 :] = np.random.default_rng(record.cycle_id).integers(
            0, 255, (size[0] - size[0] // 2, size[1], 3), dtype=np.uint8
        )
        type_name, message = picture(pixels, now_ns - 1, as_jpeg=True)
        writer.add("/arm/dam/images/front", type_name, message, now_ns - 1)
    writer.add_cycle(record, now_ns)
