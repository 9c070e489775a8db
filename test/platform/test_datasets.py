# SPDX-License-Identifier: Apache-2.0
"""Dataset records in both databases, their links, and the structure of an MP4."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.errors import ArenaError, InvalidInput, NotFound
from lerobot_arena.platform.catalog.sandbox import Sandbox
from lerobot_arena.platform.datasets.links import LIFE_S, Links
from lerobot_arena.platform.datasets.probe import VideoProbe, check_boxes
from lerobot_arena.platform.datasets.record import DatasetRecord, VideoFacts, new_id
from lerobot_arena.platform.datasets.store import DatasetStore
from lerobot_arena.testing.videos import mp4

SHA256 = "a" * 64
FACTS = VideoFacts(1.5, 29.97, 640, 480, "h264")
ONE = DatasetRecord(
    id="dataset_1", owner="anna", title="Tabletop: demos!", description="", kind="human_wbc", file_name="a.mp4",
    sha256=SHA256, size=3 << 32, video=FACTS, created_at=1.0, updated_at=1.0,
)  # fmt: skip


def test_records_come_back_as_they_were_newest_first_each_owner_their_own(engine: Engine) -> None:
    store = DatasetStore(engine)
    later, other = replace(ONE, id="dataset_2", created_at=2.0), replace(ONE, id="dataset_3", owner="eve")
    store.insert([ONE, later, other])
    assert store.of("anna") == [later, ONE] and store.of(None) == [later, ONE, other]
    assert store.get("dataset_1") == ONE
    assert store.unused([SHA256, "b" * 64]) == ["b" * 64]
    for record in (ONE, later, other):
        store.delete(record.id)
    assert store.unused([SHA256]) == [SHA256] and store.of(None) == []
    with pytest.raises(NotFound):
        store.get("dataset_1")


def test_an_upload_is_inserted_whole_or_not_at_all(engine: Engine) -> None:
    store = DatasetStore(engine)
    store.insert([ONE])
    with pytest.raises(IntegrityError):
        store.insert([replace(ONE, id="dataset_2"), ONE])
    assert store.of(None) == [ONE]


def test_the_file_key_is_the_seeds() -> None:
    assert ONE.file_key == "anna/dataset/tabletop-demos-dataset_1/a.mp4"
    assert replace(ONE, title="日本").file_key == "anna/dataset/untitled-dataset_1/a.mp4"
    longest = replace(ONE, id=new_id(), owner="o" * 64, title="t" * 200, file_name="f" * 100)
    assert len(longest.file_key) <= 600 and len(longest.id) <= 40


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_link_lasts_an_hour_at_least_and_an_hour_and_a_quarter_at_most(now_s: int, later_s: int) -> None:
    clock = ManualClock(now_ns=0, wall_offset_ns=now_s * NS)
    links = Links(b"key", clock)
    until, signature = links.sign("dataset_1")
    assert links.is_good("dataset_1", until, signature)
    assert not links.is_good("dataset_2", until, signature)
    assert not links.is_good("dataset_1", until + 1, signature)
    assert not Links(b"other", clock).is_good("dataset_1", until, signature)
    clock.advance(later_s)
    if later_s <= LIFE_S:
        assert links.is_good("dataset_1", until, signature)
    if later_s >= LIFE_S + 900:
        assert not links.is_good("dataset_1", until, signature)


@pytest.mark.parametrize("signature", ["", "é" * 64, "0" * 64, "x" * 100])
def test_no_other_signature_is_good(signature: str) -> None:
    links = Links(b"key", ManualClock())
    until, _ = links.sign("dataset_1")
    assert not links.is_good("dataset_1", until, signature)


@pytest.mark.parametrize(
    ("movflags", "codec"), [("faststart", "libx264"), ("frag_keyframe+empty_moov", "libx264"), ("", "mpeg4")]
)
def test_every_layout_of_an_mp4_is_probed(tmp_path: Path, movflags: str, codec: str) -> None:
    file = tmp_path / "film"
    file.write_bytes(mp4(options={"movflags": movflags} if movflags else {}, codec=codec, fps=10))
    found = VideoProbe().ask(file)
    assert (found.width, found.height, found.fps) == (64, 48, 10.0) and found.duration_s == pytest.approx(2.0)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2000), st.booleans())
def test_boxes_of_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, is_film: bool
) -> None:
    film = FILM if is_film else b""
    file = tmp_path_factory.getbasetemp() / "noise"
    file.write_bytes(film[:at] + noise + film[at:])
    try:
        check_boxes(file)
    except ArenaError as error:
        assert isinstance(error, InvalidInput) and str(error).endswith(".")


FILM = mp4()


class Liar(Sandbox):
    """A child that foreign bytes have taken over."""

    def __init__(self, said: object) -> None:
        self._said = said

    def ask(self, *_: object, **__: object) -> dict[str, object]:
        return {"video": self._said}


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"codec": "h264", "duration_s": float("nan"), "fps": 30.0, "width": 64, "height": 48},
        {"codec": "h264", "duration_s": 0.0, "fps": 30.0, "width": 64, "height": 48},
        {"codec": "h264", "duration_s": 1.0, "fps": 30.0, "width": 10**9, "height": 48},
        {"codec": "h264", "duration_s": 1.0, "fps": "x", "width": 64, "height": 48},
        {"codec": "<script>" * 10, "duration_s": 1.0, "fps": 30.0, "width": 64, "height": 48},
    ],
)
def test_what_the_child_says_is_checked(tmp_path: Path, said: object) -> None:
    with pytest.raises(InvalidInput):
        VideoProbe(Liar(said)).ask(tmp_path)
