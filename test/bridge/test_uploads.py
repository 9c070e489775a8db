# SPDX-License-Identifier: Apache-2.0
"""Uploaded files on their way to what checks them."""

import errno
import io
import os
import shutil
import time
from pathlib import Path

import pytest
from fastapi import UploadFile

from lerobot_arena.bridge.uploads import on_disk, sweep_uploads
from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.storage.blobs import ABANDONED_S


def upload(content: bytes = b"content") -> UploadFile:
    return UploadFile(io.BytesIO(content), size=len(content), filename="../a b.glb")


def test_they_are_there_until_the_end_of_the_block(tmp_path: Path) -> None:
    with on_disk({"glb": upload(), "preview": None}, tmp_path / "uploads") as found:
        assert found["glb"].path.read_bytes() == b"content" and found["glb"].name == "a_b.glb"
        assert found.keys() == {"glb"}
    assert not list((tmp_path / "uploads").iterdir())


def test_an_empty_one_is_refused_by_its_field(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="glb is an empty file"), on_disk({"glb": upload(b"")}, tmp_path):
        pass


@pytest.mark.parametrize("call", [(shutil, "copyfileobj"), (Path, "mkdir")])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[object, str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(*call, full)
        with pytest.raises(Unavailable, match="No space left"), on_disk({"glb": upload()}, tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_server_left_is_swept_an_hour_later(tmp_path: Path) -> None:
    before = time.time() - 2 * ABANDONED_S
    for name, stamp in (("upload-old", before), ("upload-new", time.time()), ("other", before)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (stamp, stamp))
    sweep_uploads(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"upload-new", "other"}
