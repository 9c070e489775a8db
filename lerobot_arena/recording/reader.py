# SPDX-License-Identifier: Apache-2.0
"""Reading recordings back with bounded memory: one chunk at a time is in it, whatever the size of the files."""

import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lerobot_arena.core import topics as names
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.cycle import CycleRecord, GuardAction, GuardObservation
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.ids import unescape
from lerobot_arena.core.observation import CameraFrame, JointSample
from lerobot_arena.core.strict import did_you_mean
from lerobot_arena.recording import records as mcap
from lerobot_arena.recording import values
from lerobot_arena.recording.disk import is_being_written
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.index import (
    IMAGE_TYPES,
    FileIndex,
    Span,
    continue_index,
    definitions,
    span_records,
)
from lerobot_arena.recording.names import SUFFIX, as_in_seed, file_number
from lerobot_arena.recording.records import Channel, DamagedFile, Schema, Source

SESSION_RECORD = "session"
_CYCLE = f"/{names.CYCLE}"
_IMAGES = f"/{names.images('')}"
ALL = -1
END_OF_TIME = 2**64


def files_of(path: Path) -> list[Path]:
    """A file, or a folder's files in their order. Raises NotFound when there is none."""
    if path.is_dir():
        found = sorted(path.glob(f"[!.]*{SUFFIX}"), key=lambda file: (file_number(file.name), file.name))
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise NotFound(f"{path} is no recording: it should be an {SUFFIX} file, or a folder with some.")
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """One recorded message; `type_name` as pkg/msg/Type. `value` is decoded on use."""

    topic: str
    type_name: str
    log_time: int
    publish_time: int
    sequence: int
    data: bytes
    decode: Callable[[bytes], Any]

    @property
    def value(self) -> Any:
        """An object with the message's fields. Raises DamagedFile."""
        return values.decoded(self.decode, self.data, self.type_name)


class RecordedFile:
    """One open file with its index."""

    def __init__(self, path: Path, index: FileIndex | None = None) -> None:
        self.source = Source(path)
        self.index = index or FileIndex()
        if index is None:
            continue_index(self.index, self.source, is_active=is_being_written(path))
        self._definitions: tuple[dict[int, Schema], dict[int, Channel]] | None = None
        self._decoders: dict[int, values.Decoder] = {}

    def definitions(self) -> tuple[dict[int, Schema], dict[int, Channel]]:
        """All schemas and channels, by id. Raises DamagedFile."""
        if self._definitions is None:
            schemas: dict[int, Schema] = {}
            channels: dict[int, Channel] = {}
            for span in self.index.spans:
                if span.has_definitions:
                    more, others = definitions(self.records(span))
                    schemas, channels = {**more, **schemas}, {**others, **channels}
            self._definitions = schemas, channels
        return self._definitions

    def records(self, span: Span) -> bytes:
        """The records in a span. Raises DamagedFile."""
        return span_records(self.source, span)

    def raw_messages(self, span: Span, channel_ids: Collection[int]) -> Iterator[mcap.RawMessage]:
        """Messages of some channels in a span. Raises DamagedFile."""
        records = self.records(span)
        for opcode, start, end in mcap.records_in(records):
            if opcode == mcap.MESSAGE and int.from_bytes(records[start : start + 2], "little") in channel_ids:
                yield mcap.message_at(records, start, end)

    def decoder(self, channel_id: int) -> values.Decoder:
        """What decodes a channel's messages. Raises DamagedFile."""
        found = self._decoders.get(channel_id)
        if found is None:
            schemas, channels = self.definitions()
            schema = schemas.get(channels[channel_id].schema_id)
            if schema is None:
                raise DamagedFile(f"{self.index.channels[channel_id][0]} has no schema.")
            self._decoders[channel_id] = found = values.decoder_of(schema)
        return found


class Recording:
    """A recording of one arm: one file or a session's files in their order. A context manager; iterators are lazy."""

    def __init__(self, files: Sequence[RecordedFile]) -> None:
        self.files = tuple(files)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the files back."""
        for file in self.files:
            file.source.close()

    @property
    def metadata(self) -> dict[str, str]:
        """The `session` record: who recorded what, when, under which policy and boundaries."""
        return next(
            (f.index.metadata[SESSION_RECORD] for f in self.files if SESSION_RECORD in f.index.metadata), {}
        )

    @property
    def arm(self) -> str:
        """The arm's namespace; empty when nothing in the files tells it."""
        said = self.metadata.get("arm", "").strip("/")
        found = (t.removesuffix(_CYCLE).strip("/") for t in self.topics if t.endswith(_CYCLE))
        return said or next(found, "")

    @property
    def topics(self) -> dict[str, str]:
        """Topic → type, of those that have messages."""
        return {
            topic: type_name
            for file in self.files
            for number, (topic, type_name) in file.index.channels.items()
            if any(number in span.counts for span in file.index.spans)
        }

    @property
    def damage(self) -> str:
        """What is wrong with the files; empty for nothing."""
        return " ".join(f"{f.source.path.name}: {f.index.damage}" for f in self.files if f.index.damage)

    @property
    def start_ns(self) -> int:
        return min((file.index.start_ns for file in self.files if file.index.start_ns), default=0)

    @property
    def end_ns(self) -> int:
        return max((file.index.end_ns for file in self.files), default=0)

    @property
    def cameras(self) -> dict[str, str]:
        """Camera → topic of its pictures."""
        return cameras_of(self.topics)

    def topic(self, name: str) -> str:
        """The recorded topic of this name, given with or without the arm's namespace. Raises InvalidInput."""
        return find_topic(name, self.topics, self.arm)

    def messages(
        self, topics: Collection[str] | None = None, *, start_ns: int = 0, end_ns: int = 2**63
    ) -> Iterator[Message]:
        """Messages in the order of their log times; those from start to end, both included. Raises DamagedFile."""
        places = [
            (span.start_ns, number, file, span)
            for number, (file, span) in enumerate(
                (file, span) for file in self.files for span in file.index.spans
            )
            if span.overlaps(start_ns, end_ns)
        ]
        places.sort(key=lambda place: place[:2])
        wanted = {
            id(file): {
                n for n, (topic, _) in file.index.channels.items() if topics is None or topic in topics
            }
            for file in self.files
        }
        # Pictures from before a violation stand behind it: what overlaps waits for its turn.
        waiting: list[tuple[int, int, RecordedFile, mcap.RawMessage]] = []
        count = 0
        for place, (_, _, file, span) in enumerate(places):
            ids = wanted[id(file)]
            if not ids.isdisjoint(span.counts):
                for raw in file.raw_messages(span, ids):
                    if start_ns <= raw.log_time <= end_ns:
                        count += 1
                        heapq.heappush(waiting, (raw.log_time, count, file, raw))
            next_ns = places[place + 1][0] if place + 1 < len(places) else END_OF_TIME
            while waiting and waiting[0][0] < next_ns:
                _, _, owner, first = heapq.heappop(waiting)
                yield _message(owner, first)

    def _of_type[T](self, type_names: Sequence[str], read: Callable[[Message], T]) -> Iterator[T]:
        topics = [topic for topic, type_name in self.topics.items() if type_name in type_names]
        return (read(message) for message in self.messages(topics))

    def cycles(self, start: int = 0, end: int = ALL) -> Iterator[CycleRecord]:
        """Cycles with ids from `start` to `end`, both included. Raises DamagedFile."""
        for file in self.files:
            wanted = file.index.ids(CYCLE_TYPE)
            for span in file.index.spans:
                if span.cycles and span.last_cycle >= start and (end == ALL or span.first_cycle <= end):
                    for raw in file.raw_messages(span, wanted):
                        record = values.cycle_of(_message(file, raw).value)
                        if record.cycle_id >= start and (end == ALL or record.cycle_id <= end):
                            yield record

    def observations(self) -> Iterator[GuardObservation]:
        """What each cycle saw. Raises DamagedFile."""
        return self._of_type(
            ("lerobot_arena/msg/GuardObservation",), lambda m: values.value_of(GuardObservation, m.value)
        )

    def actions(self) -> Iterator[GuardAction]:
        """What each cycle was asked and did. Raises DamagedFile."""
        return self._of_type(
            ("lerobot_arena/msg/GuardAction",), lambda m: values.value_of(GuardAction, m.value)
        )

    def chunks(self) -> Iterator[ActionChunk]:
        """What the policy answered. Raises DamagedFile."""
        return self._of_type(("lerobot_arena/msg/ActionChunk",), lambda m: values.chunk_of(m.value))

    def joints(self) -> Iterator[JointSample]:
        """Measured joints of the arm, in radians. Raises DamagedFile."""
        topics = [f"/{self.arm}/{names.JOINT_STATES}"]
        return (values.joints_of(m.value, m.log_time) for m in self.messages(topics))

    def frames(
        self, cameras: Collection[str] | None = None, *, start_ns: int = 0, end_ns: int = 2**63
    ) -> Iterator[CameraFrame]:
        """Pictures as rgb, of all cameras or some. Raises InvalidInput for an unknown camera, DamagedFile."""
        known = self.cameras
        for camera in cameras or ():
            if camera not in known:
                raise InvalidInput(
                    f"There is no camera {camera!r} in this recording.{did_you_mean(camera, known)}"
                )
        by_topic = {topic: camera for camera, topic in known.items() if cameras is None or camera in cameras}
        for message in self.messages(by_topic, start_ns=start_ns, end_ns=end_ns):
            yield values.frame_of(message.value, by_topic[message.topic], message.log_time)


def _message(file: RecordedFile, raw: mcap.RawMessage) -> Message:
    topic, type_name = file.index.channels[raw.channel_id]

    def decode(data: bytes) -> Any:
        return file.decoder(raw.channel_id)(data)

    return Message(topic, type_name, raw.log_time, raw.publish_time, raw.sequence, raw.data, decode)


def cameras_of(topics: dict[str, str]) -> dict[str, str]:
    """Camera → topic, of topics → types. Pictures under any other name are named by their topic."""
    found = {}
    for topic, type_name in topics.items():
        if type_name in IMAGE_TYPES:
            _, _, token = topic.rpartition(_IMAGES)
            found[unescape(token) if _IMAGES in topic else topic.strip("/")] = topic
    return found


def find_topic(name: str, topics: Collection[str], arm: str) -> str:
    """The topic meant by its name with or without the arm's namespace. Raises InvalidInput, naming the nearest."""
    if name in topics:
        return name
    short = {as_in_seed(topic, arm): topic for topic in topics}
    if name not in short:
        raise InvalidInput(
            f"There is no topic {name[:100]!r} in this recording.{did_you_mean(name[:100], sorted(short))}"
        )
    return short[name]


def open_recording(path: Path | str) -> Recording:
    """Open a file, or a folder of them, for reading. Of a damaged file what is whole is read: see `damage`.

    Raises NotFound when there is nothing.
    """
    opened: list[RecordedFile] = []
    try:
        for file in files_of(Path(path)):
            opened.append(RecordedFile(file))
    except BaseException:
        Recording(opened).close()
        raise
    return Recording(opened)
