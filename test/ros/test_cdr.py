# SPDX-License-Identifier: Apache-2.0
"""Reading an image from its bytes gives what rclpy's own deserialisation gives."""

from array import array
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput

pytestmark = pytest.mark.ros


def image(encoding: str, frame_id: str, *, padding: int = 0) -> Any:
    from lerobot_arena.ros import convert

    channels = {"mono8": 1}.get(encoding, 3)
    height, width = 5, 7
    step = width * channels + padding
    message = convert.Image(height=height, width=width, encoding=encoding, step=step)
    message.header.frame_id = frame_id
    message.header.stamp = convert.stamp_to_msg(1_700_000_000_123_456_789)
    rng = np.random.default_rng(len(frame_id))
    message.data = array("B", rng.integers(0, 256, height * step, dtype=np.uint8).tobytes())
    return message


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "front_optical_frame", "über"])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
@pytest.mark.parametrize("padding", [0, 3])
def test_an_image_reads_as_rclpy_reads_it(encoding: str, frame_id: str, padding: int) -> None:
    from rclpy.serialization import serialize_message

    from lerobot_arena.ros import convert
    from lerobot_arena.ros.cdr import frame_from_serialised, stamp_ns_of_serialised

    message = image(encoding, frame_id, padding=padding)
    data = serialize_message(message)
    expected = convert.frame_from_image(message, "front", 5)
    found = frame_from_serialised(data, convert.Image, "front", 5)
    assert np.array_equal(found.image, expected.image)
    assert (found.stamp_ns, found.camera, found.receipt_ns) == (expected.stamp_ns, "front", 5)
    assert stamp_ns_of_serialised(data) == 1_700_000_000_123_456_789


def test_a_compressed_image_too() -> None:
    import cv2
    from rclpy.serialization import serialize_message

    from lerobot_arena.ros import convert
    from lerobot_arena.ros.cdr import frame_from_serialised

    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    message = convert.CompressedImage(format="png")
    message.data = cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
    found = frame_from_serialised(serialize_message(message), convert.CompressedImage, "front", 0)
    assert np.array_equal(found.image, pixels)


def test_rubbish_is_refused() -> None:
    from rclpy.serialization import serialize_message

    from lerobot_arena.ros import convert
    from lerobot_arena.ros.cdr import frame_from_serialised, stamp_ns_of_serialised

    data = serialize_message(image("rgb8", "front"))
    for cut in (0, 3, 11, 20, 40, len(data) - 60):
        with pytest.raises(InvalidInput):
            frame_from_serialised(data[:cut], convert.Image, "front", 0)
    with pytest.raises(InvalidInput, match="little-endian"):
        stamp_ns_of_serialised(b"\0" * 20)
