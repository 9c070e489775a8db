# SPDX-License-Identifier: Apache-2.0
"""Reading an MCAP file that may end anywhere or be damaged in the middle: everything in it that is whole.

Memory is bounded by the largest chunk. https://mcap.dev/spec
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Footer, Header, Message, MessageIndex, Metadata, Schema
from mcap.writer import MCAP0_MAGIC

from lerobot_arena.core.errors import InvalidInput

_HEAD = struct.Struct("<BQ")
_CHUNK_HEAD = struct.Struct("<QQQII")  # start, end, uncompressed size, crc, length of the compression's name
_LONGEST_RECORD = 1 << 30
_FOOTER_BYTES = _HEAD.size + 20 + len(MCAP0_MAGIC)
_PIECE = 1 << 16


@dataclass(slots=True)
class SoundChunk:
    """A chunk whose content is what was written: its records, and where its messages are."""

    chunk: Chunk
    records: list[Schema | Channel | Message]
    indexes: list[MessageIndex]


@dataclass(slots=True)
class Salvage:
    """What `sound_parts` found out; complete once it is exhausted."""

    header: Header = field(default_factory=lambda: Header("", ""))
    lost_bytes: int = 0
    damaged_chunks: int = 0
    is_complete: bool = False


type Part = SoundChunk | Schema | Channel | Message | Metadata | Attachment
_READERS: dict[int, Any] = {
    Opcode.SCHEMA: Schema.read,
    Opcode.CHANNEL: Channel.read,
    Opcode.METADATA: Metadata.read,
    Opcode.ATTACHMENT: Attachment.read,
}


def has_index(path: Path) -> bool:
    """Whether the file ends as a finished one does. Reads its last 37 bytes."""
    with open(path, "rb") as file:
        return _summary_start(file) > 0


def _summary_start(file: BinaryIO) -> int:
    """Where the index begins; 0 without one."""
    size = file.seek(0, 2)
    if size < len(MCAP0_MAGIC) + _FOOTER_BYTES:
        return 0
    file.seek(size - _FOOTER_BYTES)
    tail = file.read()
    if tail[-len(MCAP0_MAGIC) :] != MCAP0_MAGIC or tail[0] != Opcode.FOOTER:
        return 0
    start = Footer.read(ReadDataStream(BytesIO(tail[_HEAD.size :]))).summary_start
    return int(start) if len(MCAP0_MAGIC) < start < size else 0


def indexed_channels(file: BinaryIO) -> Iterator[Schema | Channel]:
    """The schemas and channels that the index repeats: those of a damaged chunk may be there only."""
    start = _summary_start(file)
    if not start:
        return
    file.seek(start)
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        opcode, length = _HEAD.unpack(head)
        if opcode not in (Opcode.SCHEMA, Opcode.CHANNEL) or length > _LONGEST_RECORD:
            return
        for part in _plain_part(opcode, file.read(length), Salvage()):
            if isinstance(part, Schema | Channel):
                yield part


def sound_parts(file: BinaryIO, found: Salvage) -> Iterator[Part]:
    """Every whole part in order, the whole messages of a broken chunk one by one. Raises InvalidInput: no MCAP file."""
    file.seek(0)
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        raise InvalidInput("This is no MCAP file: its first bytes are not MCAP's.")
    size = file.seek(0, 2)
    file.seek(len(MCAP0_MAGIC))
    while True:
        at = file.tell()
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            found.lost_bytes += len(head)
            return
        opcode, length = _HEAD.unpack(head)
        is_whole = file.tell() + length <= size
        data = file.read(min(length, size - file.tell(), _LONGEST_RECORD))
        if opcode in (Opcode.DATA_END, Opcode.FOOTER) and is_whole:
            found.is_complete = True
            return
        if opcode == Opcode.CHUNK:
            yield from _parts_of_chunk(data, found, is_whole=is_whole)
        elif is_whole:
            yield from _plain_part(opcode, data, found)
        else:
            found.lost_bytes += len(head) + len(data)
        if not is_whole or opcode == 0 or file.tell() <= at:
            found.lost_bytes += size - file.tell()
            return


def _plain_part(opcode: int, data: bytes, found: Salvage) -> Iterator[Part]:
    stream = ReadDataStream(BytesIO(data))
    try:
        if opcode == Opcode.HEADER:
            found.header = Header.read(stream)
        elif opcode == Opcode.MESSAGE:
            yield Message.read(stream, len(data))
        elif opcode in _READERS:
            yield _READERS[opcode](stream)
    except Exception as error:  # damaged bytes may break the reader in any way
        found.lost_bytes += _HEAD.size + len(data)
        found.damaged_chunks += 1
        del error


def _parts_of_chunk(data: bytes, found: Salvage, *, is_whole: bool) -> Iterator[Part]:
    head = _chunk_head(data)
    if head is None:
        found.lost_bytes += len(data)
        found.damaged_chunks += 1
        return
    chunk, content = head
    is_sound = (
        is_whole
        and len(content) == chunk.uncompressed_size
        and chunk.uncompressed_crc in (0, zlib.crc32(content))
    )
    records, indexes, read = _content(content)
    if is_sound and read == len(content):
        yield SoundChunk(chunk, records, indexes)
        return
    found.damaged_chunks += 1
    found.lost_bytes += max(chunk.uncompressed_size - read, 0) if chunk.uncompressed_size < 2**62 else 0
    # Without the checksum of a whole chunk a message may be damaged inside: only a cut-off chunk is believed.
    if not is_whole:
        yield from records


def _chunk_head(data: bytes) -> tuple[Chunk, bytes] | None:
    if len(data) < _CHUNK_HEAD.size:
        return None
    start, end, size, crc, name_length = _CHUNK_HEAD.unpack_from(data)
    at = _CHUNK_HEAD.size + name_length
    if len(data) < at + 8 or name_length > 64:
        return None
    compression = data[_CHUNK_HEAD.size : at].decode(errors="replace")
    packed = data[at + 8 :]
    content = _inflate(compression, packed, min(size, _LONGEST_RECORD))
    return Chunk(compression, packed, end, start, crc, size), content


def _inflate(compression: str, packed: bytes, limit: int) -> bytes:
    """As much of a chunk's content as can be unpacked, at most `limit` bytes."""
    if compression == "":
        return packed[:limit]
    if compression == "zstd":
        unpacker: Any = zstandard.ZstdDecompressor().decompressobj()
    elif compression == "lz4":
        import lz4.frame

        unpacker = lz4.frame.LZ4FrameDecompressor()
    else:
        return b""
    out = bytearray()
    try:
        for at in range(0, len(packed), _PIECE):
            out += unpacker.decompress(packed[at : at + _PIECE])
            if len(out) > limit:
                break
    except (zstandard.ZstdError, RuntimeError, EOFError):
        pass  # what came before the damage is kept
    return bytes(out[:limit])


def _content(content: bytes) -> tuple[list[Schema | Channel | Message], list[MessageIndex], int]:
    """A chunk's whole records, the places of its messages, and how many bytes they are."""
    records: list[Schema | Channel | Message] = []
    indexes: dict[int, MessageIndex] = {}
    at = 0
    while at + _HEAD.size <= len(content):
        opcode, length = _HEAD.unpack_from(content, at)
        end = at + _HEAD.size + length
        if end > len(content):
            break
        try:
            record = _chunk_record(opcode, content[at + _HEAD.size : end])
        except Exception:  # damaged bytes may break the reader in any way
            break
        if record is not None:
            records.append(record)
        if isinstance(record, Message):
            index = indexes.setdefault(record.channel_id, MessageIndex(record.channel_id, []))
            index.records.append((record.log_time, at))
        at = end
    return records, list(indexes.values()), at


def _chunk_record(opcode: int, data: bytes) -> Schema | Channel | Message | None:
    stream = ReadDataStream(BytesIO(data))
    if opcode == Opcode.MESSAGE:
        return Message.read(stream, len(data))
    if opcode == Opcode.SCHEMA:
        return Schema.read(stream)
    return Channel.read(stream) if opcode == Opcode.CHANNEL else None
