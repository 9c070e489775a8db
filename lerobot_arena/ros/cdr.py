# SPDX-License-Identifier: Apache-2.0
"""Images straight from their serialised form (OMG CDR, little endian, XCDR1), without a Python object per message.

A camera's frames are mostly not looked at: a raw subscription, the stamp read here, and pixels only on demand.
"""

import struct
from types import SimpleNamespace

from lerobot_arena.core.cdr import CdrReader
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import CameraFrame
from lerobot_arena.ros.convert import Image, frame_from_compressed, frame_from_image, stamp_to_msg


def stamp_ns_of_serialised(data: bytes) -> int:
    """header.stamp of any serialised message that begins with a header. Raises InvalidInput."""
    reader = CdrReader(data)
    return reader.number("i", 4) * NS + reader.number("I", 4)


def frame_from_serialised(data: bytes, message_type: type, camera: str, receipt_ns: int) -> CameraFrame:
    """Frame of a serialised sensor_msgs/Image or CompressedImage; rgb8 shares its memory. Raises InvalidInput."""
    try:
        reader = CdrReader(data)
        stamp = stamp_to_msg(reader.number("i", 4) * NS + reader.number("I", 4))
        message = SimpleNamespace(header=SimpleNamespace(stamp=stamp, frame_id=reader.text()))
        if message_type is Image:
            message.height, message.width = reader.number("I", 4), reader.number("I", 4)
            message.encoding = reader.text()
            message.is_bigendian, message.step = reader.number("B", 1), reader.number("I", 4)
            message.data = reader.block()
            return frame_from_image(message, camera, receipt_ns)
        message.format = reader.text()
        message.data = reader.block()
        return frame_from_compressed(message, camera, receipt_ns)
    except struct.error as error:
        raise InvalidInput(f"A camera message is cut short: {error}.") from error
