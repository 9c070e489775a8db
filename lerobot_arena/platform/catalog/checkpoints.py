# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints as folders for the inference process: unpacked once, whole or not at all. Blocking."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.inference.weights import file_sha256
from lerobot_arena.platform.catalog import bundle, checkpoint
from lerobot_arena.platform.catalog.checkpoint import Member
from lerobot_arena.platform.catalog.item import CHECKPOINT, FileRef, Item
from lerobot_arena.platform.catalog.limits import ZipLimits
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.storage.blobs import Blobs

BUNDLE = "bundle"
_PARTIAL = ".partial-"


@dataclass(frozen=True, slots=True)
class Placed:
    """A version of a checkpoint, and the policy folder that it is on this machine."""

    item: Item
    folder: Path


class Checkpoints:
    """Those of one catalog below `folder`, each by the sha256 of its zip. Safe from any thread."""

    def __init__(self, shelf: Shelf, blobs: Blobs, folder: Path, *, most_bytes: int) -> None:
        self._shelf, self._blobs, self._folder = shelf, blobs, folder
        self._limits: ZipLimits = checkpoint.limits(most_bytes).zip
        self._lock = threading.Lock()
        for partial in folder.glob(f"{_PARTIAL}*"):  # of a process that was killed
            shutil.rmtree(partial, ignore_errors=True)

    def place(self, ref: str, version: int | None = None) -> Placed:
        """Its folder, whose every file is as it was published, without what names folders of the publisher's machine.

        Raises NotFound, Unavailable for damaged files.
        """
        item = self._shelf.get(CHECKPOINT, ref, version)
        facts = checkpoint.facts(item.facts, f"Checkpoint {item.ref}")
        target = self._folder / item.files[BUNDLE].sha256
        with self._lock:
            if not is_whole(target, facts.members):
                self._unpack(item.files[BUNDLE], target, facts.members)
        return Placed(item, target / facts.folder)

    def forget(self, bundles: Iterable[str]) -> None:
        """Remove the folders of zips that are no longer published, by their sha256."""
        with self._lock:
            for sha256 in bundles:
                shutil.rmtree(self._folder / sha256, ignore_errors=True)

    def _unpack(self, file: FileRef, target: Path, members: Sequence[Member]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self._folder))
        try:
            archive, fresh = work / "bundle.zip", work / "files"
            self._blobs.copy_to(file.sha256, archive)
            if file_sha256(archive) != file.sha256:
                raise Unavailable(f"The stored file of {file.name} is damaged: publish the checkpoint again.")
            bundle.unpack(archive, fresh, self._limits, what="checkpoint's zip", suffixes=checkpoint.SUFFIXES)
            checkpoint.drop_train_configs(fresh)
            if not is_whole(fresh, members):
                raise Unavailable(f"{file.name} does not hold what was published: publish it again.")
            if target.exists():
                os.replace(target, work / "old")
            os.replace(fresh, target)
        except OSError as error:
            raise Unavailable(f"The checkpoint cannot be unpacked below {self._folder}: {error}.") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


def is_whole(folder: Path, members: Sequence[Member]) -> bool:
    """Every member is there with its content, and nothing else."""
    if not folder.is_dir():
        return False
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if set(found) != {member.path for member in members}:
        return False
    return all(
        not (path := found[member.path]).is_symlink()
        and path.stat().st_size == member.size
        and file_sha256(path) == member.sha256
        for member in members
    )
