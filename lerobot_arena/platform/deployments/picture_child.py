# SPDX-License-Identifier: Apache-2.0
"""The process that opens the pictures of requests: a foreign JPEG or PNG is not decoded where the e-stop is answered.

It reads JSON lines from standard input, the first of which says what to expect. For each other one it writes a JSON
line, and after a good one the pixels of all cameras in their order: uint8 height×width×3, rgb.
"""

import base64
import binascii
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import lerobot_arena
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.confine import give_up
from lerobot_arena.platform.catalog.limits import ChildLimits

MOST_BYTES = 4_000_000
"""Of one picture, encoded."""
_MOST_PIXELS = 4096 * 4096
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def main(answer_fd: int, parent: int) -> None:
    """Answer until standard input ends."""
    asked = json.loads(sys.stdin.readline())
    folder = Path(asked["folder"])
    os.chdir(folder)
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(_MOST_PIXELS)
    packages = [Path(entry) for entry in sys.path] + [Path(lerobot_arena.__file__).parent]
    give_up(ChildLimits(**asked["limits"]), readable=packages, folder=folder, parent=parent)
    import cv2

    cv2.setNumThreads(1)
    sizes = {name: (height, width) for name, (height, width) in asked["cameras"].items()}
    with open(answer_fd, "wb") as channel:
        channel.write(b'{"ok": true}\n')
        channel.flush()
        while line := sys.stdin.readline():
            channel.write(_answer(json.loads(line), sizes))
            channel.flush()


def _answer(images: Mapping[str, str], sizes: Mapping[str, tuple[int, int]]) -> bytes:
    try:
        pixels = b"".join(decode(name, images[name], size) for name, size in sizes.items())
    except InvalidInput as error:
        return json.dumps({"ok": False, "error": str(error)}).encode() + b"\n"
    return b'{"ok": true}\n' + pixels


def decode(name: str, text: str, size: tuple[int, int]) -> bytes:
    """The pixels of one picture, which must be `size`: height, width. Raises InvalidInput."""
    import cv2
    import numpy as np

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"images.{name} is not base64: {error}.") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"images.{name} has {len(data)} bytes; at most {MOST_BYTES}.")
    if not data.startswith(_MAGIC):
        raise InvalidInput(f"images.{name} is neither a JPEG nor a PNG.")
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError) as error:
        raise InvalidInput(f"images.{name} cannot be decoded: it is damaged or too large.") from error
    if found is None:
        raise InvalidInput(f"images.{name} cannot be decoded: it is damaged.")
    if found.shape[:2] != size:
        height, width = found.shape[:2]
        raise InvalidInput(f"images.{name} is {width}×{height}; the policy takes {size[1]}×{size[0]}.")
    return bytes(cv2.cvtColor(found, cv2.COLOR_BGR2RGB).tobytes())
