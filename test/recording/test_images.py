# SPDX-License-Identifier: Apache-2.0
"""Which pictures are recorded, and what they become."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.cdr import CdrReader
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.images import ImageGate, ImagePolicy, jpeg_twin
from lerobot_arena.recording.queue import Item, Rank, Topic
from lerobot_arena.testing.cdr_messages import IMAGE, image, message
from lerobot_arena.testing.recording_rig import FRONT, Rig, messages_of


def pictures(rig: Rig) -> list[int]:
    """When the recorded pictures came, as log times."""
    return [log_ns for path in rig.files for topic, log_ns, _ in messages_of(path) if topic == FRONT.name]


def test_an_image_becomes_the_jpeg_of_the_same_stamp_and_frame() -> None:
    import cv2

    twin = jpeg_twin(image(32, 24, stamp_ns=5_000_000_007, grey=90), 90)
    assert twin is not None
    reader = CdrReader(twin)
    assert (reader.number("i", 4), reader.number("I", 4), reader.text()) == (5, 7, "front")
    assert reader.text() == "rgb8; jpeg compressed bgr8"
    pixels = cv2.imdecode(np.frombuffer(reader.block(), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (24, 32, 3) and abs(int(pixels.mean()) - 90) <= 1
    assert reader.at == len(twin)


def test_colours_keep_their_places() -> None:
    import cv2

    for encoding, red_at in (("rgb8", 0), ("bgr8", 2)):
        pixel = [0, 0, 0]
        pixel[red_at] = 255
        raw = message(IMAGE, height=8, width=8, encoding=encoding, step=24, data=pixel * 64)
        twin = jpeg_twin(raw, 95)
        assert twin is not None
        blue, green, red = cv2.imdecode(np.frombuffer(twin[twin.index(b"\xff\xd8") :], np.uint8), 1)[4, 4]
        assert red > 240 and green < 15 and blue < 15


def test_what_jpeg_cannot_keep_stays_as_it_is_and_what_is_broken_is_refused() -> None:
    assert jpeg_twin(image(encoding="16UC1"), 90) is None
    assert jpeg_twin(image(encoding="mono8"), 90) is not None
    whole = image()
    for size in (0, 3, 11, 20, 40, len(whole) - 1):
        with pytest.raises(InvalidInput):
            jpeg_twin(whole[:size], 90)


def item(log_ns: int, size: int = 1) -> Item:
    return Item(Topic("/i", IMAGE), bytes(size), log_ns, Rank.IMAGE)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0, 1, 2, 3, None])), max_size=60),
    st.integers(0, 12),
)
def test_exactly_the_pictures_around_violations_are_kept_in_order(
    events: list[tuple[int, int | None]], window: int
) -> None:
    """None is a picture, a number a cycle's decision."""
    gate, now = ImageGate(ImagePolicy.VIOLATIONS, window, 10**6), 0
    kept: list[int] = []
    shots, violations = [], []
    for step, decision in events:
        now += step
        if decision is None:
            shots.append(now)
            kept += [now] if gate.offer(item(now)) else []
        else:
            violations += [now] if decision >= 2 else []
            kept += [one.log_ns for one in gate.on_cycle(decision, now)]
    wanted = [shot for shot in shots if any(abs(shot - at) <= window for at in violations)]
    assert kept == wanted


def test_the_ring_is_bounded_in_bytes() -> None:
    gate = ImageGate(ImagePolicy.VIOLATIONS, 10**9, 100)
    for number in range(50):
        gate.offer(item(number, 30))
    assert [one.log_ns for one in gate.on_cycle(2, 50)] == [47, 48, 49]


@pytest.mark.parametrize(("policy", "expected"), [("violations", 3), ("clamps", 6), ("all", 12), ("none", 0)])
def test_the_policy_decides_what_is_recorded(
    make_rig: Callable[..., Rig], policy: str, expected: int
) -> None:
    rig = make_rig(params={"images": policy, "window_s": 1.0})
    rig.recorder.start()
    for second in range(12):
        rig.picture()
        rig.cycles(1, decision={3: 1, 8: 3}.get(second, 0), rate_hz=1e3)
        rig.clock.advance(0.599)
    rig.recorder.stop()
    assert len(pictures(rig)) == expected


def test_a_snapshot_keeps_what_was_and_what_comes(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(params={"images": "violations", "window_s": 1.0})
    rig.recorder.start()
    for number in range(40):
        rig.picture()
        rig.clock.advance(0.1)
        if number == 19:
            rig.recorder.snapshot()
    rig.recorder.stop()
    assert len(pictures(rig)) in range(19, 23)
    assert pictures(rig) == sorted(pictures(rig))


def test_pictures_are_recorded_raw_on_wish(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(params={"image_format": "raw"})
    rig.recorder.start()
    rig.picture()
    rig.recorder.stop()
    assert messages_of(rig.files[0])[0][2] == image(grey=128, stamp_ns=rig.clock.wall_ns())
