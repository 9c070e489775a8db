# SPDX-License-Identifier: Apache-2.0
"""A new MCAP file out of parts of others: whole chunks byte for byte, loose messages in chunks of their own.

Channel and schema ids stay those of the source. https://mcap.dev/spec
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC

CHUNK_BYTES = 1 << 20


class Out(Protocol):
    """Where the new file goes."""

    def write(self, data: bytes, /) -> object: ...


class Assembly:
    """Writes in order; `finish` adds the index. What it holds grows with the number of chunks only."""

    def __init__(self, out: Out, *, profile: str, library: str) -> None:
        self._out, self._at = out, 0
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self._chunks: list[ChunkIndex] = []
        self._metadata: list[MetadataIndex] = []
        self._attachments: list[AttachmentIndex] = []
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._start_ns, self._end_ns = 2**64 - 1, 0
        self._loose = RecordBuilder()
        self._loose_index: dict[int, MessageIndex] = {}
        self._written: set[tuple[str, int]] = set()
        self._write(MCAP0_MAGIC)
        self._record(Header(profile, library))

    @property
    def messages(self) -> int:
        """Messages so far."""
        return sum(self._counts.values())

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._at += len(data)

    def _record(self, record: McapRecord) -> int:
        builder = RecordBuilder()
        record.write(builder)
        data = builder.end()
        self._write(data)
        return len(data)

    def add_schema(self, schema: Schema) -> None:
        """Make a schema known; the first of an id counts."""
        self.schemas.setdefault(schema.id, schema)

    def add_channel(self, channel: Channel) -> None:
        """Make a channel known; the first of an id counts."""
        self.channels.setdefault(channel.id, channel)

    def add_message(self, message: Message) -> None:
        """A message of a known channel, into the chunk of loose messages."""
        channel = self.channels[message.channel_id]
        for key, record in (
            (("schema", channel.schema_id), self.schemas.get(channel.schema_id)),
            (("channel", channel.id), channel),
        ):
            if record is not None and key not in self._written:
                record.write(self._loose)
                self._written.add(key)
        index = self._loose_index.setdefault(message.channel_id, MessageIndex(message.channel_id, []))
        index.records.append((message.log_time, self._loose.count))
        message.write(self._loose)
        if self._loose.count > CHUNK_BYTES:
            self._close_loose()

    def _close_loose(self) -> None:
        data = self._loose.end()
        if not data:
            return
        times = [log_ns for index in self._loose_index.values() for log_ns, _ in index.records]
        packed = zstandard.compress(data)
        chunk = Chunk(
            compression="zstd",
            data=packed,
            message_start_time=min(times),
            message_end_time=max(times),
            uncompressed_crc=zlib.crc32(data),
            uncompressed_size=len(data),
        )
        indexes = list(self._loose_index.values())
        self._loose_index = {}
        self._put_chunk(chunk, indexes)

    def add_chunk(self, chunk: Chunk, indexes: Iterable[MessageIndex]) -> None:
        """A whole chunk as it is; its schemas and channels have to be known."""
        self._close_loose()
        self._put_chunk(chunk, list(indexes))

    def _put_chunk(self, chunk: Chunk, indexes: list[MessageIndex]) -> None:
        at = self._at
        length = self._record(chunk)
        offsets, index_at = {}, self._at
        for index in indexes:
            offsets[index.channel_id] = self._at
            self._record(index)
            self._counts[index.channel_id] += len(index.records)
        if any(index.records for index in indexes):
            self._start_ns = min(self._start_ns, chunk.message_start_time)
            self._end_ns = max(self._end_ns, chunk.message_end_time)
        self._chunks.append(
            ChunkIndex(
                message_start_time=chunk.message_start_time,
                message_end_time=chunk.message_end_time,
                chunk_start_offset=at,
                chunk_length=length,
                message_index_offsets=offsets,
                message_index_length=self._at - index_at,
                compression=chunk.compression,
                compressed_size=len(chunk.data),
                uncompressed_size=chunk.uncompressed_size,
            )
        )

    def add_metadata(self, metadata: Metadata) -> None:
        """A metadata record."""
        at = self._at
        self._metadata.append(MetadataIndex(offset=at, length=self._record(metadata), name=metadata.name))

    def add_attachment(self, attachment: Attachment) -> None:
        """An attachment."""
        at, length = self._at, self._record(attachment)
        self._attachments.append(
            AttachmentIndex(
                offset=at,
                length=length,
                create_time=attachment.create_time,
                log_time=attachment.log_time,
                data_size=len(attachment.data),
                name=attachment.name,
                media_type=attachment.media_type,
            )
        )

    def finish(self) -> None:
        """Write what is loose, and the index."""
        self._close_loose()
        self._record(DataEnd(0))
        start, summary = self._at, RecordBuilder()
        offsets: list[SummaryOffset] = []
        for opcode, records in (
            (Opcode.SCHEMA, self.schemas.values()),
            (Opcode.CHANNEL, self.channels.values()),
            (Opcode.STATISTICS, [self._statistics()]),
            (Opcode.CHUNK_INDEX, self._chunks),
            (Opcode.ATTACHMENT_INDEX, self._attachments),
            (Opcode.METADATA_INDEX, self._metadata),
        ):
            begin = summary.count
            for record in records:
                record.write(summary)
            if summary.count > begin:
                offsets.append(SummaryOffset(opcode, start + begin, summary.count - begin))
        offset_start = start + summary.count
        for offset in offsets:
            offset.write(summary)
        self._write(summary.end())
        # A summary CRC of 0 means that there is none.
        self._record(Footer(summary_start=start, summary_offset_start=offset_start, summary_crc=0))
        self._write(MCAP0_MAGIC)

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=len(self._attachments),
            channel_count=len(self.channels),
            channel_message_counts=dict(self._counts),
            chunk_count=len(self._chunks),
            message_count=self.messages,
            metadata_count=len(self._metadata),
            message_start_time=self._start_ns if self.messages else 0,
            message_end_time=self._end_ns,
            schema_count=len(self.schemas),
        )
