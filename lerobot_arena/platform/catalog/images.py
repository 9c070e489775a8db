# SPDX-License-Identifier: Apache-2.0
"""How large a picture says it is, from its head alone: nothing is decoded."""

import struct
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput

MOST_PREVIEW_BYTES, WIDEST_PREVIEW = 5_000_000, 4096
_HEAD_BYTES = 1 << 16
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start-of-frame markers (ITU T.81, table B.1) without DHT, JPG and DAC, which lie between them.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD8)}


def check_preview(path: Path) -> None:
    """Raises InvalidInput for what is no picture, or a larger one than pages show."""
    with path.open("rb") as file:
        size = size_of(file.read(_HEAD_BYTES))
    if path.stat().st_size > MOST_PREVIEW_BYTES or size is None or max(size) > WIDEST_PREVIEW:
        raise InvalidInput(
            f"preview must be a PNG or JPEG of at most {MOST_PREVIEW_BYTES // 10**6} MB and {WIDEST_PREVIEW} pixels."
        )


def size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG or JPEG; None for anything else."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return (width, height) if width and height else None
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return (width, height) if width and height else None
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None
