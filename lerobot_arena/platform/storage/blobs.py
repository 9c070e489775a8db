# SPDX-License-Identifier: Apache-2.0
"""Files of any size by the sha256 of their content: a local folder by default, S3 and others by URL (fsspec).

A blob is written beside its place and appears there whole; the same content is kept once. Blocking. Whatever a store
raises, a full disk and a server that is away among it, is Unavailable.
"""

import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lerobot_arena.core.errors import ArenaError, InvalidInput, NotFound, TooLarge, Unavailable

_log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 18
_PARTIAL = "arena-blob-"
ABANDONED_S = 3600.0


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
        with _reaching(), tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=self._near()) as folder:
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
        with _reaching():
            return bool(self._files.exists(self._place(sha256)))

    def size(self, sha256: str) -> int:
        """Bytes of a blob. Raises NotFound."""
        with _reaching(sha256):
            return int(self._files.size(self._place(sha256)))

    def read(self, sha256: str, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `begin` to before `end`, a block at a time. Raises NotFound before the first."""
        size = self.size(sha256)
        return self._blocks(sha256, begin, size if end is None else min(end, size))

    def copy_to(self, sha256: str, path: Path) -> None:
        """A local copy, for programs that read paths. Raises NotFound."""
        with _reaching(), path.open("wb") as target:
            for block in self.read(sha256):
                target.write(block)

    def delete(self, sha256: str) -> None:
        """Forget a blob; forgetting none is no error."""
        place = self._place(sha256)
        with _reaching(), suppress(FileNotFoundError):
            if self._files.exists(place):
                self._files.rm_file(place)

    def sweep(self) -> None:
        """Remove what a killed process left half-written in a local store, an hour later: others may be writing."""
        if self._is_local:
            for partial in Path(self._root).glob(f"{_PARTIAL}*"):
                remove_if_old(partial)

    def _blocks(self, sha256: str, begin: int, end: int) -> Iterator[bytes]:
        with _reaching(sha256), self._files.open(self._place(sha256), "rb") as file:
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


def remove_if_old(folder: Path) -> None:
    """A folder that nobody has touched for an hour; what is not there, or not ours, stays."""
    with suppress(OSError):
        if time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reaching(sha256: str = "") -> Iterator[None]:
    """The store's own errors in our words; with `sha256`, a file that is missing is that blob."""
    try:
        yield
    except ArenaError:
        raise
    except Exception as error:  # each kind of store has its own, and they have no base in common
        if sha256 and isinstance(error, FileNotFoundError):
            raise NotFound(f"There is no file {sha256[:12]}…") from error
        reason = getattr(error, "strerror", None) or type(error).__name__
        _log.warning("The file store: %s: %s", type(error).__name__, error)
        raise Unavailable(
            f"The file store cannot be used now ({reason}); the arena's log says more."
        ) from error


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
