# SPDX-License-Identifier: Apache-2.0
"""Uploaded files as paths: the parser has them on disk in a place without a name, what checks them wants a name."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import UploadFile

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.publishing import Upload

_LONGEST_NAME = 100


@contextlib.contextmanager
def on_disk(uploads: Mapping[str, UploadFile | None], folder: Path) -> Iterator[dict[str, Upload]]:
    """Those that were sent, below `folder` until the end of the block. Raises InvalidInput for an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="upload-", dir=folder) as place:
        found = {}
        for role, upload in uploads.items():
            if upload is None or (not upload.filename and not upload.size):
                continue
            if not upload.size:
                raise InvalidInput(f"{role} is an empty file.")
            path = Path(place) / role
            upload.file.seek(0)
            with path.open("wb") as file:
                shutil.copyfileobj(upload.file, file, 1 << 20)
            found[role] = Upload(safe_name(upload.filename, role), path)
        yield found


def safe_name(name: str | None, default: str) -> str:
    """A file's name as it may stand in a URL and in a header; never a path."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in last)
    return clean.lstrip(".")[-_LONGEST_NAME:] or default
