# SPDX-License-Identifier: Apache-2.0
"""MCAP's records, read at their place in a file and without an object each. Format: https://mcap.dev/spec."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput, NotFound

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, METADATA, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x0F
OPCODES = range(0x01, 0x80)
# A chunk that says it is larger is not unpacked: our own are 1 MiB, rosbag2's 768 KiB, foreign ones some MiB.
LARGEST_CHUNK = 256 * 2**20
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")


class DamagedFile(InvalidInput):
    """What is in the file is not what its writer put there."""

    code = "damaged"


class Source:
    """A file read at positions; counts what was read. Raises NotFound when it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        try:
            self._number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"{path.name} cannot be read: {error.strerror}.") from error

    @property
    def size(self) -> int:
        return os.fstat(self._number).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises DamagedFile when the file has fewer, or the disk does not give them."""
        parts, wanted = [], length
        while wanted > 0:
            try:
                part = os.pread(self._number, wanted, offset + length - wanted)
            except OSError as error:
                raise DamagedFile(f"{self.path.name} cannot be read: {error.strerror}.") from error
            if not part:
                raise DamagedFile(f"{self.path.name} ends before byte {offset + length}.")
            parts.append(part)
            wanted -= len(part)
            self.bytes_read += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._number)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it lies in a file; times in ns since 1970."""

    channel_id: int
    sequence: int
    log_time: int
    publish_time: int
    data: bytes


def message_at(records: bytes, start: int, end: int) -> RawMessage:
    """The message whose content is records[start:end]. Raises DamagedFile."""
    if end - start < _MESSAGE.size:
        raise DamagedFile("A message is shorter than its own head.")
    channel_id, sequence, log_time, publish_time = _MESSAGE.unpack_from(records, start)
    return RawMessage(channel_id, sequence, log_time, publish_time, records[start + _MESSAGE.size : end])


def records_in(records: bytes) -> Iterator[tuple[int, int, int]]:
    """(opcode, start, end) of each record's content. Raises DamagedFile."""
    at, size = 0, len(records)
    while at < size:
        if at + HEAD.size > size:
            raise DamagedFile("A record is cut short.")
        opcode, length = HEAD.unpack_from(records, at)
        start = at + HEAD.size
        at = start + length
        if at > size:
            raise DamagedFile("A record is cut short.")
        yield opcode, start, at


def unpacked(chunk: bytes) -> tuple[bytes, str]:
    """The records inside a chunk's content, and its compression. Raises DamagedFile."""
    if len(chunk) < _CHUNK.size + 4:
        raise DamagedFile("A chunk is shorter than its own head.")
    _, _, size, crc = _CHUNK.unpack_from(chunk)
    compression, at = _text(chunk, _CHUNK.size)
    if at + 8 > len(chunk):
        raise DamagedFile("A chunk is shorter than its own head.")
    (length,) = struct.unpack_from("<Q", chunk, at)
    packed = chunk[at + 8 : at + 8 + length]
    if len(packed) != length:
        raise DamagedFile("A chunk is shorter than it says.")
    records = _decompressed(packed, compression, size)
    if len(records) != size:
        raise DamagedFile(f"A chunk holds {len(records)} bytes instead of {size}.")
    if crc and zlib.crc32(records) != crc:
        raise DamagedFile("The checksum of a chunk is wrong.")
    return records, compression


def _decompressed(packed: bytes, compression: str, size: int) -> bytes:
    if size > LARGEST_CHUNK:
        raise DamagedFile(f"A chunk says that it holds {size} bytes; {LARGEST_CHUNK} is the most.")
    if compression == "":
        return packed
    if compression == "zstd":
        import zstandard

        try:
            # Not the size the frame itself names: that may be any.
            reader = zstandard.ZstdDecompressor().stream_reader(packed)
            return reader.read(size + 1)
        except zstandard.ZstdError as error:
            raise DamagedFile(f"A chunk does not decompress: {error}.") from error
    if compression == "lz4":
        return _lz4(packed, size)
    raise DamagedFile(f"A chunk is compressed by {compression!r}; zstd, lz4 and none are known.")


def _lz4(packed: bytes, size: int) -> bytes:
    try:
        import lz4.frame
    except ImportError as error:
        raise DamagedFile("Chunks are compressed by lz4: `pip install lz4` to read them.") from error
    try:
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1))
    except (RuntimeError, EOFError) as error:
        raise DamagedFile(f"A chunk does not decompress: {error}.") from error


@dataclass(frozen=True, slots=True)
class Schema:
    """A message type: `name` as pkg/msg/Type, `data` its text."""

    id: int
    name: str
    encoding: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic in a file."""

    id: int
    schema_id: int
    topic: str
    encoding: str
    metadata: tuple[tuple[str, str], ...] = ()


def schema_at(content: bytes) -> Schema:
    """A schema record's content. Raises DamagedFile."""
    try:
        (number,) = struct.unpack_from("<H", content)
        name, at = _text(content, 2)
        encoding, at = _text(content, at)
        (length,) = struct.unpack_from("<I", content, at)
    except struct.error as error:
        raise DamagedFile("A schema is cut short.") from error
    return Schema(number, name, encoding, content[at + 4 : at + 4 + length])


def channel_at(content: bytes) -> Channel:
    """A channel record's content. Raises DamagedFile."""
    try:
        number, schema_id = struct.unpack_from("<HH", content)
        topic, at = _text(content, 4)
        encoding, at = _text(content, at)
        return Channel(number, schema_id, topic, encoding, tuple(_texts(content, at).items()))
    except struct.error as error:
        raise DamagedFile("A channel is cut short.") from error


def metadata_at(content: bytes) -> tuple[str, dict[str, str]]:
    """Name and entries of a metadata record's content. Raises DamagedFile."""
    try:
        name, at = _text(content, 0)
        return name, _texts(content, at)
    except struct.error as error:
        raise DamagedFile("A metadata record is cut short.") from error


def _text(content: bytes, at: int) -> tuple[str, int]:
    if at + 4 > len(content):
        raise DamagedFile("A text is cut short.")
    (length,) = struct.unpack_from("<I", content, at)
    end = at + 4 + length
    if end > len(content):
        raise DamagedFile("A text is cut short.")
    return content[at + 4 : end].decode(errors="replace"), end


def _texts(content: bytes, at: int) -> dict[str, str]:
    (length,) = struct.unpack_from("<I", content, at)
    at += 4
    end, found = at + length, {}
    while at < end:
        key, at = _text(content, at)
        found[key], at = _text(content, at)
    return found
