# SPDX-License-Identifier: Apache-2.0
"""Files of any size by the sha256 of their content: a local folder by default, S3 and others by URL (fsspec).

A blob is written beside its place and appears there whole; the same content is kept once. Blocking.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lerobot_arena.core.errors import InvalidInput, NotFound, TooLarge, Unavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Blob:
    """What was kept: sha256 of the content, in hex, and its size in bytes."""

    sha256: str
    size: int


class Blobs:
    """One store. `url` is a folder's path or whatever fsspec opens, `s3://bucket/prefix` for one."""

    def __init__(self, url: str, **options: Any) -> None:
        """Raises Unavailable when there is no such kind of store here."""
        try:
            from fsspec.core import url_to_fs

            self._files, self._root = url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            raise Unavailable(
                f"The blob store {url!r} cannot be opened: {error}. For S3 install lerobot_arena[s3]."
            ) from error
        self._is_local = "file" in _protocols(self._files)

    def write(self, blocks: Iterable[bytes], *, max_bytes: int) -> Blob:
        """Keep what `blocks` yield. Raises TooLarge beyond `max_bytes`; then, and on any error, nothing is left."""
        with tempfile.TemporaryDirectory(prefix="arena-blob-", dir=self._near()) as folder:
            partial = Path(folder) / "partial"
            digest, size = hashlib.sha256(), 0
            with partial.open("wb") as file:
                for block in blocks:
                    size += len(block)
                    if size > max_bytes:
                        raise TooLarge(f"The file is larger than {max_bytes} bytes.")
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(digest.hexdigest(), size)
            self._keep(partial, blob)
        return blob

    def write_file(self, file: IO[bytes], *, max_bytes: int) -> Blob:
        """Keep an open file's content from where it stands."""
        return self.write(iter(lambda: file.read(_BLOCK), b""), max_bytes=max_bytes)

    def __contains__(self, sha256: str) -> bool:
        return bool(self._files.exists(self._place(sha256)))

    def size(self, sha256: str) -> int:
        """Bytes of a blob. Raises NotFound."""
        try:
            return int(self._files.size(self._place(sha256)))
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {sha256[:12]}…") from error

    def read(self, sha256: str, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `begin` to before `end`, a block at a time. Raises NotFound before the first."""
        size = self.size(sha256)
        return self._blocks(sha256, begin, size if end is None else min(end, size))

    def copy_to(self, sha256: str, path: Path) -> None:
        """A local copy, for programs that read paths. Raises NotFound."""
        with path.open("wb") as target:
            for block in self.read(sha256):
                target.write(block)

    def delete(self, sha256: str) -> None:
        """Forget a blob; forgetting none is no error."""
        place = self._place(sha256)
        if self._files.exists(place):
            self._files.rm_file(place)

    def _blocks(self, sha256: str, begin: int, end: int) -> Iterator[bytes]:
        with self._files.open(self._place(sha256), "rb") as file:
            file.seek(begin)
            left = end - begin
            while left > 0 and (block := file.read(min(left, _BLOCK))):
                left -= len(block)
                yield block

    def _place(self, sha256: str) -> str:
        if _SHA256.fullmatch(sha256) is None:
            raise InvalidInput("A file is named by the sha256 of its content: 64 hex digits.")
        return f"{self._root}/{sha256[:2]}/{sha256}"

    def _near(self) -> str | None:
        """On the same file system as a local store, so that moving is one step."""
        if not self._is_local:
            return None
        Path(self._root).mkdir(parents=True, exist_ok=True)
        return str(self._root)

    def _keep(self, partial: Path, blob: Blob) -> None:
        place = self._place(blob.sha256)
        if self._files.exists(place):
            return
        if self._is_local:
            Path(place).parent.mkdir(exist_ok=True)
            os.replace(partial, place)
        else:
            self._files.put_file(str(partial), place)


def sweep_partials(folder: Path) -> None:
    """Remove what a killed process left half-written in a local store."""
    for partial in folder.glob("arena-blob-*"):
        shutil.rmtree(partial, ignore_errors=True)


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
