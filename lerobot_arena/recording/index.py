# SPDX-License-Identifier: Apache-2.0
"""What a file holds and where, found in one pass that can be continued when the file has grown.

A span is the smallest piece that is read: one chunk, or a run of records outside chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording import records as mcap
from lerobot_arena.recording.glance import CYCLE_TYPE, Glance, glance
from lerobot_arena.recording.records import Channel, DamagedFile, Schema, Source

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
NO_CYCLE = -1
_BARE = (mcap.SCHEMA, mcap.CHANNEL, mcap.MESSAGE)
_BARE_SPAN_BYTES = 2**20
_MOST_METADATA = 256


@dataclass(slots=True)
class Span:
    """A piece of a file: where, and what of. Times are log times in ns; cycle ids are the least and the largest.

    `notable` counts cycles the risk log would look at, `risk_before` is that of the cycle before it; `last_cycle_ns` is
    the log time of the last cycle in it.
    `has_definitions`: a schema or channel is first defined here.
    """

    offset: int
    length: int
    is_chunk: bool
    start_ns: int = 0
    end_ns: int = 0
    cycles: int = 0
    violations: int = 0
    clamps: int = 0
    notable: int = 0
    first_cycle: int = NO_CYCLE
    last_cycle: int = NO_CYCLE
    last_cycle_ns: int = 0
    risk_before: int = int(RiskLevel.NORMAL)
    has_definitions: bool = False
    counts: dict[int, int] = field(default_factory=dict)

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Whether a message of it may lie within."""
        return bool(self.counts) and self.start_ns <= end_ns and self.end_ns >= start_ns

    def note_message(self, channel_id: int, log_time: int) -> None:
        if not self.counts:
            self.start_ns = self.end_ns = log_time
        self.start_ns, self.end_ns = min(self.start_ns, log_time), max(self.end_ns, log_time)
        self.counts[channel_id] = self.counts.get(channel_id, 0) + 1

    def note_cycle(self, seen: Glance, log_time: int, *, is_notable: bool) -> None:
        self.first_cycle = min(self.first_cycle, seen.cycle_id) if self.cycles else seen.cycle_id
        self.last_cycle = max(self.last_cycle, seen.cycle_id) if self.cycles else seen.cycle_id
        self.last_cycle_ns = log_time
        self.cycles += 1
        self.violations += seen.is_violation
        self.clamps += seen.is_clamp
        self.notable += is_notable


@dataclass(slots=True)
class FileIndex:
    """A file's spans, channels (id → topic, type) and metadata; `position` is one past the last whole record read.

    `damage` says what is wrong, empty for nothing. A file still being written is neither closed nor damaged.
    """

    spans: list[Span] = field(default_factory=list)
    channels: dict[int, tuple[str, str]] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    compression: str = ""
    position: int = 0
    risk: int = int(RiskLevel.NORMAL)
    is_closed: bool = False
    damage: str = ""

    def total(self, name: str) -> int:
        """Sum of a Span's field over the file."""
        return sum(getattr(span, name) for span in self.spans)

    @property
    def start_ns(self) -> int:
        return min((span.start_ns for span in self.spans if span.counts), default=0)

    @property
    def end_ns(self) -> int:
        return max((span.end_ns for span in self.spans), default=0)

    def counts(self) -> dict[str, int]:
        """Messages by topic."""
        found: dict[str, int] = {}
        for span in self.spans:
            for channel_id, count in span.counts.items():
                topic = self.channels[channel_id][0]
                found[topic] = found.get(topic, 0) + count
        return found

    def ids(self, *type_names: str) -> set[int]:
        """Channels of these types."""
        return {number for number, (_, type_name) in self.channels.items() if type_name in type_names}


def span_records(source: Source, span: Span) -> bytes:
    """The records in a span. Raises DamagedFile."""
    raw = source.read(span.offset, span.length)
    return mcap.unpacked(raw[mcap.HEAD.size :])[0] if span.is_chunk else raw


def continue_index(index: FileIndex, source: Source, *, is_active: bool) -> None:
    """Take up whole records written since. Of a damaged file what comes before the damage is indexed."""
    if index.is_closed:
        return
    size = source.size
    index.damage = ""
    scan = _Scan(index, source)
    try:
        scan.run(size)
    except DamagedFile as error:
        index.damage = str(error)
    if not index.is_closed and not index.damage and not is_active:
        index.damage = (
            f"It was not closed: it ends after {size} bytes, {size - index.position} of them of no use. "
            "`arena bag repair` mends it."
        )


class _Scan:
    """One pass over what is new."""

    def __init__(self, index: FileIndex, source: Source) -> None:
        self._index, self._source = index, source
        self._schemas: dict[int, Schema] = {}
        self._bare: Span | None = None
        self._known_types = {number: name for number, (_, name) in index.channels.items()}
        self._cycle_ids = index.ids(CYCLE_TYPE)

    def run(self, size: int) -> None:
        index = self._index
        if index.position == 0:
            if size < len(mcap.MAGIC):
                if size and self._source.read(0, size) != mcap.MAGIC[:size]:
                    raise DamagedFile("It does not begin as an MCAP file does.")
                return
            if self._source.read(0, len(mcap.MAGIC)) != mcap.MAGIC:
                raise DamagedFile("It does not begin as an MCAP file does.")
            index.position = len(mcap.MAGIC)
        self._reload_schemas()
        for opcode, offset, length in self._top(size):
            if opcode == mcap.DATA_END:
                index.is_closed = self._ends_well(size)
                if not index.is_closed:
                    return
                index.position = size
                return
            self._take(opcode, offset, length)
            index.position = offset + length

    def _top(self, size: int) -> Iterator[tuple[int, int, int]]:
        """(opcode, offset, length with head) of whole records."""
        at = self._index.position
        while at + mcap.HEAD.size <= size:
            opcode, length = mcap.HEAD.unpack(self._source.read(at, mcap.HEAD.size))
            if opcode not in mcap.OPCODES or length > 2**40:
                raise DamagedFile(f"There is no record at byte {at}.")
            if at + mcap.HEAD.size + length > size:
                return
            yield opcode, at, mcap.HEAD.size + length
            at += mcap.HEAD.size + length

    def _ends_well(self, size: int) -> bool:
        return self._source.read(size - len(mcap.MAGIC), len(mcap.MAGIC)) == mcap.MAGIC

    def _take(self, opcode: int, offset: int, length: int) -> None:
        if opcode == mcap.CHUNK:
            self._bare = None
            content = self._source.read(offset, length)[mcap.HEAD.size :]
            try:
                records, compression = mcap.unpacked(content)
                span = Span(offset, length, True, risk_before=self._index.risk)
                self._note_all(span, records)
            except DamagedFile as error:
                raise DamagedFile(f"At byte {offset}: {error}") from error
            self._index.compression = compression or self._index.compression
            self._index.spans.append(span)
        elif opcode in _BARE:
            self._take_bare(offset, length)
        elif opcode == mcap.METADATA:
            name, entries = mcap.metadata_at(self._source.read(offset, length)[mcap.HEAD.size :])
            if name in self._index.metadata or len(self._index.metadata) < _MOST_METADATA:
                self._index.metadata[name] = {**self._index.metadata.get(name, {}), **entries}

    def _take_bare(self, offset: int, length: int) -> None:
        span = self._bare
        if span is None or span.offset + span.length != offset or span.length >= _BARE_SPAN_BYTES:
            span = self._bare = Span(offset, 0, False, risk_before=self._index.risk)
            self._index.spans.append(span)
        self._note_all(span, self._source.read(offset, length))
        span.length += length

    def _note_all(self, span: Span, records: bytes) -> None:
        for opcode, start, end in mcap.records_in(records):
            if opcode == mcap.MESSAGE:
                self._note(span, mcap.message_at(records, start, end))
            elif opcode == mcap.SCHEMA:
                schema = mcap.schema_at(records[start:end])
                span.has_definitions |= schema.id not in self._schemas
                self._schemas[schema.id] = schema
            elif opcode == mcap.CHANNEL:
                self._define(span, mcap.channel_at(records[start:end]))

    def _define(self, span: Span, channel: Channel) -> None:
        if channel.id in self._index.channels:
            return
        schema = self._schemas.get(channel.schema_id)
        self._index.channels[channel.id] = (channel.topic, schema.name if schema else "")
        span.has_definitions = True
        if schema and schema.name == CYCLE_TYPE:
            self._cycle_ids.add(channel.id)

    def _note(self, span: Span, message: mcap.RawMessage) -> None:
        if message.channel_id not in self._index.channels:
            raise DamagedFile(f"A message belongs to channel {message.channel_id}, which is not defined.")
        span.note_message(message.channel_id, message.log_time)
        if message.channel_id in self._cycle_ids and (seen := glance(message.data)) is not None:
            is_notable = seen.decision > Decision.PASS or seen.risk != self._index.risk
            self._index.risk = seen.risk
            span.note_cycle(seen, message.log_time, is_notable=is_notable)

    def _reload_schemas(self) -> None:
        """When a file is taken up again: those it defined before."""
        for span in self._index.spans:
            if span.has_definitions:
                schemas, _ = definitions(span_records(self._source, span))
                self._schemas.update(schemas)


def definitions(records: bytes) -> tuple[dict[int, Schema], dict[int, Channel]]:
    """Schemas and channels defined among records. Raises DamagedFile."""
    schemas, channels = {}, {}
    for opcode, start, end in mcap.records_in(records):
        if opcode == mcap.SCHEMA:
            schema = mcap.schema_at(records[start:end])
            schemas[schema.id] = schema
        elif opcode == mcap.CHANNEL:
            channel = mcap.channel_at(records[start:end])
            channels[channel.id] = channel
    return schemas, channels
