# SPDX-License-Identifier: Apache-2.0
"""Files that a crash left without an index: everything whole in them, with an index, under the same name.

The original stays in place until the new file has been read back.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mcap.exceptions import McapError
from mcap.records import Attachment, Channel, Message, Metadata, Schema
from mcap.writer import MCAP0_MAGIC
from zstandard import ZstdError

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.assembly import Assembly, Out
from lerobot_arena.recording.disk import is_being_written, refuse_active, replace_text
from lerobot_arena.recording.file_info import END, SESSION, read_info
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.metadata_yaml import FileInfo, bag_yaml, custom_data
from lerobot_arena.recording.names import METADATA, session_files, session_folders
from lerobot_arena.recording.salvage import Salvage, SoundChunk, has_index, indexed_channels, sound_parts
from lerobot_arena.recording.tally import CycleTally
from lerobot_arena.recording.writer import ros_distro

# What the mcap reader may raise on damaged bytes; a damaged length asks for any amount of memory.
_UNREADABLE = (
    McapError,
    ValueError,
    LookupError,
    EOFError,
    MemoryError,
    OverflowError,
    struct.error,
    ZstdError,
)


@dataclass(slots=True)
class Repair:
    """What became of one file."""

    name: str
    was_whole: bool
    messages: int = 0
    lost_bytes: int = 0
    damaged_chunks: int = 0
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name}: {self.problem}"
        if self.was_whole:
            return f"{self.name}: whole, {self.messages} messages; nothing to do."
        lost = f", {self.lost_bytes} bytes could not be read" if self.lost_bytes else ""
        return f"{self.name}: repaired, {self.messages} messages{lost}."


@dataclass(slots=True)
class _Seen:
    """What the parts of a file were."""

    types: dict[int, str] = field(default_factory=dict)
    tally: CycleTally = field(default_factory=CycleTally)
    reason: str = ""

    def message(self, message: Message) -> None:
        if self.types.get(message.channel_id) == CYCLE_TYPE:
            self.tally.saw(message.data)


def repair_file(path: Path, *, again: bool = False) -> Repair:
    """Give an unfinished or damaged file its index. `again` checks every chunk of a file that looks finished too.

    Raises Conflict while it is being recorded, InvalidInput when it is no MCAP file, OSError.
    """
    refuse_active(path)
    if not again and has_index(path):
        return Repair(path.name, True, read_info(path).info.messages)
    beside = path.with_name(f".{path.name}.repair")
    try:
        with open(path, "rb") as file, open(beside, "wb") as out:
            found, messages = _rewrite(file, out)
            out.flush()
            os.fsync(out.fileno())
        _verify(beside, messages)
        if found.is_complete and not found.damaged_chunks and _is_sound(path, messages):
            return Repair(path.name, True, messages)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return Repair(path.name, False, messages, found.lost_bytes, found.damaged_chunks)


def close_in_place(path: Path) -> Repair:
    """Give a file that ends after whole chunks its index where it is; for a disk without room for a second one.

    Only what differs is written, so nothing whole is at risk. Raises OSError, InvalidInput.
    """
    with open(path, "rb") as file, open(path, "r+b") as out:
        found, messages = _rewrite(file, _Overlay(out))
        out.truncate(out.tell())
        out.flush()
        os.fdatasync(out.fileno())
    return Repair(path.name, False, messages, found.lost_bytes, found.damaged_chunks)


class _Overlay:
    """Writes what is not there already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        at = self._file.tell()
        if self._file.read(len(data)) != data:
            self._file.seek(at)
            self._file.write(data)
            self._file.flush()
        return len(data)


def _rewrite(file: BinaryIO, out: Out) -> tuple[Salvage, int]:
    found, seen = Salvage(), _Seen()
    known = list(indexed_channels(file))
    parts = sound_parts(file, found)
    first = next(parts, None)  # reads the header
    assembly = Assembly(out, profile=found.header.profile, library=found.header.library)
    for record in known:
        _take(record, assembly, seen)
    while first is not None:
        _take(first, assembly, seen)
        first = next(parts, None)
    if seen.reason == "":
        assembly.add_metadata(Metadata(END, {"reason": "repaired", **seen.tally.as_record()}))
    assembly.finish()
    return found, assembly.messages


def _take(part: object, assembly: Assembly, seen: _Seen) -> None:
    if isinstance(part, SoundChunk):
        for record in part.records:
            if isinstance(record, Message):
                seen.message(record)
            else:
                _take(record, assembly, seen)
        if all(index.channel_id in assembly.channels for index in part.indexes):
            assembly.add_chunk(part.chunk, part.indexes)
        else:  # the chunk that named these channels is lost, and with it what their messages mean
            for record in part.records:
                if isinstance(record, Message) and record.channel_id in assembly.channels:
                    assembly.add_message(record)
    elif isinstance(part, Schema):
        assembly.add_schema(part)
    elif isinstance(part, Channel):
        assembly.add_channel(part)
        schema = assembly.schemas.get(part.schema_id)
        seen.types[part.id] = schema.name if schema else ""
    elif isinstance(part, Message):
        if part.channel_id in assembly.channels:
            seen.message(part)
            assembly.add_message(part)
    elif isinstance(part, Metadata):
        seen.reason = part.metadata.get("reason", "?") if part.name == END else seen.reason
        assembly.add_metadata(part)
    elif isinstance(part, Attachment):
        assembly.add_attachment(part)


def _verify(path: Path, messages: int) -> None:
    try:
        read = _count(path)
    except _UNREADABLE as error:
        raise InvalidInput(f"Repairing {path.name} failed: {error}; the file is untouched.") from error
    if read != messages:
        raise InvalidInput(
            f"Repairing {path.name} gave {read} messages instead of {messages}; the file is untouched."
        )


def _is_sound(path: Path, messages: int) -> bool:
    """Whether any reader finds all messages by the file's own index."""
    try:
        return has_index(path) and _count(path) == messages
    except _UNREADABLE:
        return False


def _count(path: Path) -> int:
    from mcap.reader import make_reader

    with open(path, "rb") as file:
        # In log time order the reader holds a chunk at a time; in file order it would hold them all.
        return sum(1 for _ in make_reader(file, validate_crcs=True).iter_messages())


def repair_session(folder: Path) -> list[Repair]:
    """Repair the files of one recording and write its metadata.yaml anew. Raises Conflict while it is recorded into."""
    repairs = []
    for path in session_files(folder):
        refuse_active(path)
        if _is_stub(path):
            path.unlink()
            continue
        try:
            repairs.append(repair_file(path))
        except InvalidInput as error:
            repairs.append(Repair(path.name, False, lost_bytes=path.stat().st_size, problem=str(error)))
    if any(not repair.was_whole for repair in repairs) or not (folder / METADATA).is_file():
        write_metadata(folder)
    return repairs


def _is_stub(path: Path) -> bool:
    """A file that a crash left before it held anything."""
    return path.stat().st_size < len(MCAP0_MAGIC)


def write_metadata(folder: Path) -> None:
    """Write metadata.yaml from what the finished files say."""
    infos: list[FileInfo] = []
    tally, session = CycleTally(), custom_data(folder)
    for path in session_files(folder):
        try:
            summary = read_info(path)
        except InvalidInput:
            continue
        infos.append(summary.info)
        tally.add(summary.tally or CycleTally())
        session = {**session, **summary.notes.get(SESSION, {})}
    replace_text(folder / METADATA, bag_yaml(infos, {**session, **tally.as_record()}, ros_distro()))


def needs_repair(folder: Path) -> bool:
    """Whether a crash left this recording without an index or metadata.yaml.

    A folder without files holds nothing to mend, and may be one that a recorder has just made.
    """
    files = session_files(folder)
    if not files or any(is_being_written(path) for path in files):
        return False
    return not (folder / METADATA).is_file() or not all(map(has_index, files))


def repair_all(root: Path) -> list[Repair]:
    """Repair every recording below `root` that needs it and is not being recorded. Raises OSError."""
    return [
        repair
        for folder in session_folders(root)
        if needs_repair(folder)
        for repair in repair_session(folder)
        if not repair.was_whole
    ]
