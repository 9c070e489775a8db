# SPDX-License-Identifier: Apache-2.0
"""Pictures of simple clients: their messages, and what is known of a JPEG before anybody decodes it."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.rooms.jpeg import pack_v1, pack_v3, read_frame, size_of


def jpeg(width: int = 64, height: int = 48, *, channels: int = 3, progressive: bool = False) -> bytes:
    shape = (height, width, channels) if channels == 3 else (height, width)
    picture = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return bytes(cv2.imencode(".jpg", picture, flags)[1])


def refused(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_frame(data)
    return caught.value.code


@pytest.mark.parametrize("size", [(16, 16), (640, 480), (1920, 1080), (17, 33)])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_is_read_from_the_head(size: tuple[int, int], progressive: bool) -> None:
    assert size_of(jpeg(*size, progressive=progressive)) == size
    assert size_of(jpeg(*size, channels=1, progressive=progressive)) == size


def test_each_version_of_the_message_is_read_and_ours_are_read_back() -> None:
    picture = jpeg()
    plain = read_frame(pack_v1("front", picture))
    assert (plain.jpeg, plain.seq, plain.stamp_mono_ns, plain.age_s) == (picture, None, None, 0.0)
    second = read_frame(b"\x02\x00\x00\x00\x07\x05front" + picture)
    assert (second.jpeg, second.seq) == (picture, 7)
    third = read_frame(pack_v3("kamera-ä", picture, seq=9, stamp_mono_ns=123_456, age_s=0.25))
    assert (third.jpeg, third.seq, third.stamp_mono_ns, third.age_s) == (picture, 9, 123_456, 0.25)
    unknown = read_frame(pack_v3("", picture, seq=9, stamp_mono_ns=0, age_s=0.0))
    assert unknown.stamp_mono_ns is None


def test_what_is_no_whole_jpeg_is_refused() -> None:
    picture = jpeg()
    for data in (
        b"",
        b"\x01",
        b"\x01\x05front",
        b"\x01\xff" + picture[:100],
        b"\x03" + picture[:10],
        b"\x04\x05front" + picture,
        pack_v1("front", b"\x89PNG" + picture),
        pack_v1("front", picture[:-2]),
        pack_v1("front", picture[:200] + b"\xff\xd9"),
        pack_v1("front", b"\xff\xd8" + b"\x00" * 200 + b"\xff\xd9"),
        pack_v1("front", b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100 + b"\xff\xd9"),
        b"\x03" + b"\xff" * 16 + b"\x00" + picture,
    ):
        assert refused(data) == "frame_invalid"


def test_a_head_that_lies_about_size_or_kind_is_refused() -> None:
    picture = bytearray(jpeg())
    at = picture.index(b"\xff\xc0")
    for change, value in ((5, b"\x00\x00"), (7, b"\x00\x00"), (4, b"\x0c"), (9, b"\x04"), (1, b"\xc3")):
        damaged = bytearray(picture)
        damaged[at + change : at + change + len(value)] = value
        assert refused(pack_v1("front", bytes(damaged))) == "frame_invalid"


@given(st.binary(max_size=400))
def test_rubbish_is_refused_and_nothing_else(data: bytes) -> None:
    assert refused(data) == "frame_invalid"


@given(st.data())
def test_a_jpeg_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    picture = bytearray(pack_v1("front", jpeg(32, 32)))
    for _ in range(data.draw(st.integers(1, 8))):
        picture[data.draw(st.integers(0, len(picture) - 1))] = data.draw(st.integers(0, 255))
    try:
        frame = read_frame(bytes(picture))
    except InvalidInput as error:
        assert error.code == "frame_invalid"
    else:
        assert 0 < frame.width < 65536 and 0 < frame.height < 65536
