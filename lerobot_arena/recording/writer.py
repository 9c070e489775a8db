# SPDX-License-Identifier: Apache-2.0
"""One MCAP file that is being written: whole chunks reach the disk, and what is not safe there is kept.

The `mcap` writer fills a sheet of memory; only this module moves the sheet to the disk. So a disk that fails leaves a
file of whole chunks, and the messages that it may have lost are still here (`unsaved`) for the next file.
"""

import contextlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from mcap.writer import CompressionType, Writer

from lerobot_arena.core.clock import NS
from lerobot_arena.recording.disk import Disk
from lerobot_arena.recording.metadata_yaml import FileInfo, TopicCount, bag_information
from lerobot_arena.recording.queue import Item, Topic
from lerobot_arena.recording.schemas import ENCODING, definition_of

PROFILE = "ros2"
LIBRARY = "lerobot_arena"
CHUNK_BYTES = 1 << 20
_STAMP = (struct.Struct(">iI"), struct.Struct("<iI"))  # the encapsulation's second byte says which


class Sheet:
    """Collects what the MCAP writer writes; `tell` counts from the beginning of the file."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def tell(self) -> int:
        """Bytes written since the beginning."""
        return self._at

    def write(self, data: bytes) -> int:
        """Append."""
        self._parts.append(data)
        self._at += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing: who tears off decides."""

    def tear_off(self) -> bytes:
        """Everything written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class McapFile:
    """One file of a recording. Every method may raise OSError; after that only `abandon` may follow.

    `unsaved` are the messages added since the last sync: a disk that fails to sync may have lost all of them.
    """

    def __init__(self, disk: Disk, path: Path, *, distro: str = "") -> None:
        self.path, self._distro = path, distro or ros_distro()
        self.info = FileInfo(path.name)
        self.size = self._synced_size = 0
        self.unsaved: list[Item] = []
        self.is_synced = False
        self._channels: dict[Topic, tuple[int, TopicCount, int]] = {}
        self._schemas: dict[str, int] = {}
        self._sheet = Sheet()
        self._writer = Writer(cast(IO[Any], self._sheet), CHUNK_BYTES, CompressionType.ZSTD)
        self._file = disk.create(path)
        self._writer.start(PROFILE, LIBRARY)
        try:
            self._save()
        except OSError:
            self.abandon()
            self.forget()
            raise

    def add(self, item: Item) -> None:
        """Put one message into the open chunk. Raises NotFound when its type is not known here."""
        channel, count, stamp_offset = self._channels.get(item.topic) or self._register(item.topic)
        publish_ns = stamp_in(item.data, stamp_offset) or item.log_ns
        self._writer.add_message(channel, item.log_ns, item.data, publish_ns, count.count)
        self.info.saw(item.log_ns)
        count.count += 1
        self.unsaved.append(item)
        self.is_synced = False
        if self._sheet.tell() > self.size:  # adding a message closes the chunk when it is full
            self._save()

    def _register(self, topic: Topic) -> tuple[int, TopicCount, int]:
        definition = definition_of(topic.type_name)
        schema = self._schemas.get(definition.type_name)
        if schema is None:
            schema = self._writer.register_schema(definition.type_name, ENCODING, definition.text.encode())
            self._schemas[definition.type_name] = schema
        metadata = {"offered_qos_profiles": topic.qos, "topic_type_hash": definition.type_hash}
        channel = self._writer.register_channel(topic.name, "cdr", schema, metadata)
        count = TopicCount(definition.type_name, definition.type_hash, topic.qos)
        known = self.info.topics.setdefault((topic.name, definition.type_name), count)
        self._channels[topic] = (channel, known, definition.stamp_offset)
        return self._channels[topic]

    def note(self, name: str, values: Mapping[str, str]) -> None:
        """Write a metadata record."""
        self._writer.flush()
        self._writer.add_metadata(name, dict(values))
        self._save()
        self.is_synced = False

    def sync(self) -> None:
        """Close the chunk; when this returns, everything so far survives a power cut."""
        self._writer.flush()
        self._save()
        self._file.sync()
        self._synced_size, self.is_synced = self.size, True
        self.unsaved.clear()

    def _save(self) -> None:
        data = self._sheet.tear_off()
        if data:
            self._file.write(data)
            self.size += len(data)

    def finish(self, custom: Mapping[str, str]) -> None:
        """Write the index and close."""
        self.sync()
        information = bag_information([self.info], custom, self._distro)
        self._writer.add_metadata("rosbag2", {"serialized_metadata": information})
        self._writer.finish()
        self._save()
        self._file.sync()
        self._file.close()

    @property
    def is_empty(self) -> bool:
        """Whether no message is safe on the disk."""
        return self.info.messages == len(self.unsaved)

    def forget(self) -> None:
        """Remove the closed file from the disk, if the disk lets it."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def abandon(self) -> None:
        """Close without an index, after a failed write; the file ends where it was synced, if the disk lets it."""
        with contextlib.suppress(OSError):
            self._file.cut(self._synced_size)
            self._file.sync()
        with contextlib.suppress(OSError):
            self._file.close()


def stamp_in(data: bytes, offset: int) -> int:
    """The stamp at `offset` of a serialised message, ns; 0 when there is none."""
    if offset < 0 or len(data) < offset + _STAMP[0].size:
        return 0
    sec, nanosec = _STAMP[data[1] & 1].unpack_from(data, offset)
    return max(sec * NS + nanosec, 0)


def ros_distro() -> str:
    """The ROS 2 whose messages these are: the sourced one's name, else the wheels'."""
    return os.environ.get("ROS_DISTRO") or "jazzy"
