# SPDX-License-Identifier: Apache-2.0
"""The blob store's contract, on a folder and on a local S3 server."""

import hashlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lerobot_arena.core.errors import InvalidInput, NotFound, TooLarge, Unavailable
from lerobot_arena.platform.storage.blobs import Blobs, sweep_partials

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
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
    with pytest.raises(ConnectionError):
        blobs.write(breaking(), max_bytes=LIMIT)
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "/.."])
def test_only_a_hash_is_a_name(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidInput):
        blobs.read(name)


def test_an_unknown_kind_of_store_says_so() -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        Blobs("nowhere://bucket")


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "arena-blob-x").mkdir()
    (tmp_path / "arena-blob-x" / "partial").write_bytes(b"half")
    sweep_partials(tmp_path)
    assert not list(tmp_path.iterdir())
