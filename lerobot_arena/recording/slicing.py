# SPDX-License-Identifier: Apache-2.0
"""A part of a recording as one valid MCAP, made while it is sent: only the chunks that are needed are read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.recording.cycles import BEGINNING, END, Window, cycle_range, windows
from lerobot_arena.recording.glance import OF_A_CYCLE, cycle_id_of
from lerobot_arena.recording.index import Span
from lerobot_arena.recording.reader import ALL, SESSION_RECORD, RecordedFile, Recording
from lerobot_arena.recording.records import RawMessage

PROFILE, LIBRARY = "ros2", "lerobot_arena"
# What a cycle's guard says of it comes a little later than the cycle, and two topics may change their order on the way.
SLACK_NS = 250_000_000
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Slice:
    """What is asked of a recording: cycles `start` to `end` (both included, ALL: to the end) and some topics, or all.

    Messages without a cycle id belong to the cycle that was recorded next.
    """

    start: int = 0
    end: int = ALL
    topics: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or self.end < ALL or (self.end != ALL and self.start > self.end):
            raise InvalidInput(
                f"Cycles {self.start} to {self.end} are no range: start_cycle is at least 0, end_cycle at least "
                "start_cycle, or -1 for all."
            )

    @property
    def is_everything(self) -> bool:
        return self.start == 0 and self.end == ALL and self.topics is None


class Slicer:
    """A slice that has been planned: `parts` yields its bytes. Close it."""

    def __init__(self, recording: Recording, wanted: Slice) -> None:
        """Raises NotFound when no such cycle was recorded, DamagedFile when the borders cannot be read."""
        self.recording, self.wanted = recording, wanted
        self._windows = [Window(BEGINNING, END)]
        self._by_time = (wanted.start, wanted.end) != (0, ALL)
        if self._by_time:
            self._windows = windows(recording, wanted.start, wanted.end)
            if not self._windows:
                known = cycle_range(recording)
                has = f"It has cycles {known[0]} to {known[1]}" if known else "It has no cycles"
                raise NotFound(f"No cycle from {wanted.start} to {wanted.end} was recorded. {has}.")

    @property
    def bytes_read(self) -> int:
        """Of all files so far."""
        return sum(file.source.bytes_read for file in self.recording.files)

    def parts(self) -> Iterator[bytes]:
        """A whole MCAP file, piece by piece. Raises DamagedFile."""
        output = _Output()
        output.begin()
        yield output.taken()
        for name, entries in self._metadata().items():
            output.writer.add_metadata(name, entries)
        for file in self.recording.files:
            for span, ids in self._spans(file):
                for raw in file.raw_messages(span, ids):
                    if self._is_wanted(file, raw):
                        output.add(file, raw)
                if data := output.taken():
                    yield data
        output.writer.finish()
        yield output.taken()

    def close(self) -> None:
        """Give the files back."""
        self.recording.close()

    def _spans(self, file: RecordedFile) -> Iterator[tuple[Span, Collection[int]]]:
        topics = self.wanted.topics
        ids = {n for n, (topic, _) in file.index.channels.items() if topics is None or topic in topics}
        of_a_cycle = {n for n in ids if file.index.channels[n][1] in OF_A_CYCLE}
        for span in file.index.spans:
            if any(span.overlaps(window.after_ns + 1, window.until_ns) for window in self._windows):
                found = ids & span.counts.keys()
            elif any(span.overlaps(w.after_ns - SLACK_NS, w.until_ns + SLACK_NS) for w in self._windows):
                found = of_a_cycle & span.counts.keys()
            else:
                continue
            if found:
                yield span, found

    def _is_wanted(self, file: RecordedFile, raw: RawMessage) -> bool:
        if not self._by_time:
            return True
        cycle_id = cycle_id_of(file.index.channels[raw.channel_id][1], raw.data)
        if cycle_id is None:
            return any(window.holds(raw.log_time) for window in self._windows)
        end = self.wanted.end
        return self.wanted.start <= cycle_id and (end == ALL or cycle_id <= end)

    def _metadata(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {SESSION_RECORD: {}} if self.recording.metadata else {}
        for file in self.recording.files:
            for name, entries in file.index.metadata.items():
                found[name] = {**entries, **found.get(name, {})} if name == SESSION_RECORD else entries
        if self.wanted.is_everything and len(self.recording.files) == 1:
            return found
        told = {
            "files": ", ".join(file.source.path.name for file in self.recording.files),
            "start_cycle": str(self.wanted.start),
            "end_cycle": str(self.wanted.end),
            "topics": ", ".join(sorted(self.wanted.topics)) if self.wanted.topics is not None else "all",
        }
        return {**found, "slice": told}


@dataclass
class _Sink:
    """What the writer writes into; `taken` empties it."""

    parts: list[bytes] = field(default_factory=list)
    at: int = 0

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        self.at += len(data)
        return len(data)

    def tell(self) -> int:
        return self.at

    def flush(self) -> None:
        """Nothing waits here."""


class _Output:
    """The one file that comes of several; the same topic of two files is one channel."""

    def __init__(self) -> None:
        from mcap.writer import Writer

        self._sink = _Sink()
        self.writer = Writer(self._sink, chunk_size=_CHUNK_BYTES)  # type: ignore[arg-type]
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: dict[tuple[object, ...], int] = {}
        self._of_file: dict[tuple[int, int], int] = {}

    def begin(self) -> None:
        self.writer.start(PROFILE, LIBRARY)

    def taken(self) -> bytes:
        data = b"".join(self._sink.parts)
        self._sink.parts.clear()
        return data

    def add(self, file: RecordedFile, raw: RawMessage) -> None:
        key = id(file), raw.channel_id
        channel_id = self._of_file.get(key)
        if channel_id is None:
            self._of_file[key] = channel_id = self._channel(file, raw.channel_id)
        self.writer.add_message(channel_id, raw.log_time, raw.data, raw.publish_time, raw.sequence)

    def _channel(self, file: RecordedFile, number: int) -> int:
        schemas, channels = file.definitions()
        channel = channels[number]
        schema = schemas.get(channel.schema_id)
        schema_id = 0
        if schema is not None:
            meaning = schema.name, schema.encoding, schema.data
            if meaning not in self._schemas:
                self._schemas[meaning] = self.writer.register_schema(*meaning)
            schema_id = self._schemas[meaning]
        meant = channel.topic, channel.encoding, schema_id, channel.metadata
        if meant not in self._channels:
            self._channels[meant] = self.writer.register_channel(
                channel.topic, channel.encoding, schema_id, dict(channel.metadata)
            )
        return self._channels[meant]
