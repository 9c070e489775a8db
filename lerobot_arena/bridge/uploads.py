# SPDX-License-Identifier: Apache-2.0
"""Uploaded files as paths: the parser has them on disk in a place without a name, what checks them wants a name."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import UploadFile

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.publishing import Upload
from lerobot_arena.platform.storage.blobs import remove_if_old

_LONGEST_NAME = 100
_PREFIX = "upload-"


@contextlib.contextmanager
def on_disk(uploads: Mapping[str, UploadFile | None], folder: Path) -> Iterator[dict[str, Upload]]:
    """Those that were sent, below `folder` until the end of the block.

    Raises InvalidInput for an empty one, Unavailable when the disk does not take them.
    """
    with _place(folder) as place:
        found = {}
        for role, upload in uploads.items():
            if upload is None or (not upload.filename and not upload.size):
                continue
            if not upload.size:
                raise InvalidInput(f"{role} is an empty file.")
            found[role] = Upload(safe_name(upload.filename, role), _copied(upload, Path(place) / role))
        yield found


def sweep_uploads(folder: Path) -> None:
    """Remove what a killed process left there, an hour later: it may be somebody else's upload under way."""
    for place in folder.glob(f"{_PREFIX}*"):
        remove_if_old(place)


def _place(folder: Path) -> "TemporaryDirectory[str]":
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=_PREFIX, dir=folder)
    except OSError as error:
        raise _no_room(error) from error


def _copied(upload: UploadFile, path: Path) -> Path:
    try:
        upload.file.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
    except OSError as error:
        raise _no_room(error) from error
    return path


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(f"The upload cannot be kept: {error.strerror}. Make room on the arena's disk.")


def safe_name(name: str | None, default: str) -> str:
    """A file's name as it may stand in a URL and in a header; never a path."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in last)
    return clean.lstrip(".")[-_LONGEST_NAME:] or default
