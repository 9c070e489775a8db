# SPDX-License-Identifier: Apache-2.0
"""Zips: looked at before anything is written, unpacked with every byte counted, and packed reproducibly."""

import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.limits import ZipLimits

_CHUNK_BYTES = 1 << 20
_STORED_OR_DEFLATED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
# What zipfile and zlib raise on bytes that are no zip, or not quite; a full disk is an OSError as well.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # what zipfile raises for a compression it does not know
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def unpack(
    archive: Path,
    folder: Path,
    limits: ZipLimits,
    *,
    what: str = "robot's zip",
    suffixes: Collection[str] = (),
) -> list[str]:
    """Write the files of `archive` below `folder` and return their paths.

    Raises InvalidInput for members outside the folder, links, special files, encryption, two files of one name, more
    members or bytes than allowed, and other endings than `suffixes` when given; nothing is written before all names
    and sizes are good. `what` is how sentences call the archive.
    """
    try:
        return _unpacked(archive, folder, limits, suffixes)
    except InvalidInput as error:
        raise InvalidInput(f"The {what} {error}") from error


def _unpacked(archive: Path, folder: Path, limits: ZipLimits, suffixes: Collection[str]) -> list[str]:
    size = archive.stat().st_size
    if size > limits.file_bytes:
        raise InvalidInput(f"has {size} bytes; {limits.file_bytes} is the limit.")
    try:
        with zipfile.ZipFile(archive) as opened:
            files = _checked(opened.infolist(), size, limits)
            _check_endings(files, suffixes)
            for info in files:
                _write(opened, info, folder / info.filename)
    except _UNREADABLE as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InvalidInput(f"cannot be read: {said.rstrip(' .')}.") from error
    return [info.filename for info in files]


def _check_endings(files: Sequence[zipfile.ZipInfo], suffixes: Collection[str]) -> None:
    for info in files:
        if suffixes and not info.filename.endswith(tuple(suffixes)):
            raise InvalidInput(f"has {info.filename[:80]!r}; only {', '.join(suffixes)} files are taken.")


def plain_files(folder: Path) -> list[str]:
    """What `pack` takes: the files below `folder` without links and hidden ones."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not path.is_symlink() and not is_hidden:
            found.append(relative.as_posix())
    return found


def pack(folder: Path, archive: Path, names: Collection[str] | None = None) -> None:
    """Zip the plain files below `folder`, or those of `names`; same files, same bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name in plain_files(folder) if names is None else names:
            path = folder / name
            if path == archive:
                continue
            info = zipfile.ZipInfo(name, _EPOCH)
            # Weights are noise: packing them takes minutes and gains nothing.
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = path.stat().st_size
            with path.open("rb") as source, target.open(info, "w") as member:
                shutil.copyfileobj(source, member, 1 << 20)


def check_path(name: str, limits: ZipLimits) -> PurePosixPath:
    """A member's name as a path inside the bundle. Raises InvalidInput for any other; it says what the zip has."""
    shown = repr(name[:80])
    is_printable = name.isprintable() and "\\" not in name and ":" not in name
    if not name or not is_printable:
        raise InvalidInput(f"has a member {shown}: use plain names with '/' between folders.")
    if name.startswith("/"):
        raise InvalidInput(f"has a member {shown} with an absolute path.")
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        raise InvalidInput(f"has a member {shown} that leads out of the bundle.")
    if "." in parts or "" in parts:
        raise InvalidInput(f"has a member {shown}: use plain names with '/' between folders.")
    if len(name) > limits.path_characters or len(parts) > limits.path_depth:
        raise InvalidInput(
            f"has a member {shown} whose path is longer than {limits.path_characters} characters "
            f"or deeper than {limits.path_depth} folders."
        )
    return PurePosixPath(*parts)


def _checked(
    members: Sequence[zipfile.ZipInfo], archive_bytes: int, limits: ZipLimits
) -> list[zipfile.ZipInfo]:
    if len(members) > limits.members:
        raise InvalidInput(f"has {len(members)} members; {limits.members} is the limit.")
    files, seen, folders = [], set(), set()
    for info in members:
        path = check_path(info.orig_filename, limits)
        _check_kind(info)
        _check_size(info, limits)
        key = unicodedata.normalize("NFC", str(path)).casefold()
        folders |= {str(parent) for parent in PurePosixPath(key).parents}
        if info.is_dir():
            folders.add(key)
            continue
        if key in seen:
            raise InvalidInput(f"has {str(path)[:80]!r} twice (upper and lower case count as one).")
        seen.add(key)
        files.append(info)
    if seen & folders:
        raise InvalidInput(f"has {sorted(seen & folders)[0][:80]!r} both as a file and as a folder.")
    if not files:
        raise InvalidInput("is empty.")
    _check_total(files, archive_bytes, limits)
    return files


def _check_kind(info: zipfile.ZipInfo) -> None:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode == stat.S_IFLNK:
        raise InvalidInput(f"has a link, {info.filename[:80]!r}; put the file itself there.")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InvalidInput(f"has a special file, {info.filename[:80]!r}.")
    if info.flag_bits & _ENCRYPTED:
        raise InvalidInput(f"is encrypted ({info.filename[:80]!r}).")
    if info.compress_type not in _STORED_OR_DEFLATED:
        raise InvalidInput(f"packs {info.filename[:80]!r} in a way browsers lack; use deflate.")


def _check_size(info: zipfile.ZipInfo, limits: ZipLimits) -> None:
    if info.file_size > limits.member_bytes:
        raise InvalidInput(
            f"unpacks {info.filename[:80]!r} to {info.file_size} bytes; {limits.member_bytes} is the limit."
        )
    if info.file_size > limits.ratio_free_bytes and info.file_size > limits.ratio * max(
        info.compress_size, 1
    ):
        raise InvalidInput(f"packs {info.filename[:80]!r} more than {limits.ratio:g} times, as zip bombs do.")


def _check_total(files: Sequence[zipfile.ZipInfo], archive_bytes: int, limits: ZipLimits) -> None:
    total = sum(info.file_size for info in files)
    if total > limits.unpacked_bytes:
        raise InvalidInput(f"unpacks to {total} bytes; {limits.unpacked_bytes} is the limit.")
    if sum(info.compress_size for info in files) > archive_bytes:
        raise InvalidInput("has members that overlap.")


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as file:
        written = 0
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > info.file_size:
                raise InvalidInput(f"has more in {info.filename[:80]!r} than it says.")
            file.write(chunk)
    if written != info.file_size:
        raise InvalidInput(f"has less in {info.filename[:80]!r} than it says.")
