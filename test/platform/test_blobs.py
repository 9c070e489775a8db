# SPDX-License-Identifier: Apache-2.0
"""The blob store's contract, on a folder and on a local S3 server."""

import errno
import hashlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lerobot_arena.core.errors import InvalidInput, NotFound, TooLarge, Unavailable
from lerobot_arena.platform.storage.blobs import ABANDONED_S, Blobs

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "folder":
        return Blobs(str(tmp_path / "blobs"))
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    options = {"endpoint_url": request.getfixturevalue("s3_endpoint")}
    bucket = f"b{tmp_path.name[-40:].replace('_', '-').lower()}"
    s3fs.S3FileSystem(**options).mkdir(bucket)
    return Blobs(f"s3://{bucket}/arena", **options)


def test_what_was_written_is_read_by_its_hash(blobs: Blobs) -> None:
    content = bytes(range(256)) * 4000
    blob = blobs.write_file(io.BytesIO(content), max_bytes=LIMIT)
    assert blob.sha256 == hashlib.sha256(content).hexdigest() and blob.size == len(content)
    assert b"".join(blobs.read(blob.sha256)) == content
    assert blobs.size(blob.sha256) == len(content) and blob.sha256 in blobs


def test_a_range_is_what_was_asked_for(blobs: Blobs, tmp_path: Path) -> None:
    blob = blobs.write([b"0123", b"456789"], max_bytes=LIMIT)
    assert b"".join(blobs.read(blob.sha256, 3, 7)) == b"3456"
    assert b"".join(blobs.read(blob.sha256, 8, 99)) == b"89"
    blobs.copy_to(blob.sha256, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"0123456789"


def test_the_same_content_is_kept_once_and_deleted_once(blobs: Blobs) -> None:
    assert blobs.write([b"same"], max_bytes=9) == blobs.write([b"sa", b"me"], max_bytes=9)
    blob = blobs.write([b"same"], max_bytes=9)
    blobs.delete(blob.sha256)
    blobs.delete(blob.sha256)
    assert blob.sha256 not in blobs
    with pytest.raises(NotFound):
        blobs.read(blob.sha256)


def test_too_much_and_a_broken_stream_leave_nothing(blobs: Blobs, tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    with pytest.raises(TooLarge, match="100 bytes"):
        blobs.write([b"x" * 60, b"x" * 60], max_bytes=100)
    with pytest.raises(Unavailable):
        blobs.write(breaking(), max_bytes=LIMIT)
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "/.."])
def test_only_a_hash_is_a_name(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.read(name)


def test_an_unknown_kind_of_store_says_so() -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        Blobs("nowhere://bucket")


def test_what_a_killed_process_left_is_swept_an_hour_later(tmp_path: Path) -> None:
    for name in ("arena-blob-old", "arena-blob-new", "ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "partial").write_bytes(b"half")
    before = time.time() - 2 * ABANDONED_S
    for name in ("arena-blob-old", "ab"):
        os.utime(tmp_path / name, (before, before))
    Blobs(str(tmp_path)).sweep()
    assert {path.name for path in tmp_path.iterdir()} == {"arena-blob-new", "ab"}


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Unavailable, match="No space left"):
        Blobs(str(tmp_path)).write([b"x"], max_bytes=LIMIT)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_store_that_is_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    away = Blobs(
        "s3://bucket/arena",
        endpoint_url="http://127.0.0.1:9",
        config_kwargs={"retries": {"max_attempts": 0}, "connect_timeout": 1},
    )
    for use in (
        lambda: away.write([b"x"], max_bytes=9),
        lambda: away.size("a" * 64),
        lambda: "a" * 64 in away,
        lambda: away.delete("a" * 64),
    ):
        with pytest.raises(Unavailable, match="file store cannot be used"):
            use()
