# SPDX-License-Identifier: Apache-2.0
"""Pictures of simple clients: the binary message around a JPEG, and what can be known of a JPEG without decoding it.

::

    v1 (seed 3)   [0x01][length of name][name][JPEG]
    v2 (DAM 0.7)  [0x02][cycle id, 4][length of name][name][JPEG]
    v3 (ours)     [0x03][seq, 4][stamp_mono_ns, 8][age_us, 4][length of name][name][JPEG]

Numbers are unsigned and big-endian, the name is UTF-8. From a client, `stamp_mono_ns` is the capture on its steady
clock (0: unknown) and `age_us` how old the picture was by its own account when it was sent. From the server, the stamp
is handed on and `age_us` is the whole age.
"""

import struct
from dataclasses import dataclass

from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.rooms.refusals import refuse

SMALLEST_JPEG = 125
_MOST_SEGMENTS = 64
_V3 = struct.Struct(">BIQI")
_START, _END = b"\xff\xd8", b"\xff\xd9"
# Start-of-frame markers of what decoders read: baseline, extended and progressive Huffman.
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SCAN = 0xDA
_MOST_AGE_US = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a client; `seq` and `stamp_mono_ns` are None where its message has none."""

    jpeg: bytes
    width: int
    height: int
    seq: int | None = None
    stamp_mono_ns: int | None = None
    age_s: float = 0.0


def _bad(message: str, code: str = "frame_invalid") -> ArenaError:
    return refuse(InvalidInput, code, message)


def read_frame(data: bytes) -> Frame:
    """The picture in a binary message. Raises InvalidInput with the code frame_invalid."""
    head, seq, stamp, age_s = 1, None, None, 0.0
    version = data[0] if data else 0
    if version == 2 and len(data) > 5:
        head, seq = 5, int.from_bytes(data[1:5])
    elif version == 3 and len(data) > _V3.size:
        _, seq, stamp_ns, age_us = _V3.unpack_from(data)
        head, stamp, age_s = _V3.size, stamp_ns or None, age_us / 1e6
    elif version != 1:
        raise _bad("A binary message must be a picture: [1][length of name][name][JPEG]. See docs/rooms.md.")
    if stamp is not None and stamp >= 2**63:
        raise _bad("stamp_mono_ns must be below 2^63.")
    if len(data) <= head:
        raise _bad("The picture's message ends inside its head.")
    jpeg = data[head + 1 + data[head] :]
    width, height = size_of(jpeg)
    return Frame(jpeg, width, height, seq, stamp, age_s)


def size_of(jpeg: bytes) -> tuple[int, int]:
    """(width, height) as its frame header says. Raises InvalidInput when it cannot be a whole JPEG."""
    if len(jpeg) < SMALLEST_JPEG or not jpeg.startswith(_START) or not jpeg.endswith(_END):
        raise _bad("The picture is not a whole JPEG: it must begin with FF D8 and end with FF D9.")
    place, size = 2, None
    for _ in range(_MOST_SEGMENTS):
        if place + 4 > len(jpeg) or jpeg[place] != 0xFF:
            break
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2 : place + 4])
        if marker == _SCAN and size is not None:
            return size
        if marker in _OTHER_FRAMES:
            raise _bad("The JPEG is lossless or arithmetically coded; send a baseline or progressive one.")
        if marker in _FRAMES:
            size = _frame_size(jpeg[place + 4 : place + 2 + length])
        if length < 2:
            break
        place += 2 + length
    raise _bad("The JPEG's head is damaged.")


def _frame_size(header: bytes) -> tuple[int, int]:
    if len(header) < 6 or header[0] != 8 or header[5] not in {1, 3} or len(header) != 6 + 3 * header[5]:
        raise _bad("The JPEG must have 8 bits for each of one or three colours.")
    height, width = int.from_bytes(header[1:3]), int.from_bytes(header[3:5])
    if not width or not height:
        raise _bad("The JPEG has no size.")
    return width, height


def pack_v1(name: str, jpeg: bytes) -> bytes:
    """Seed 3's message."""
    return b"\x01" + _name(name) + jpeg


def pack_v3(name: str, jpeg: bytes, *, seq: int, stamp_mono_ns: int, age_s: float) -> bytes:
    """The message with capture and age."""
    age_us = min(max(round(age_s * 1e6), 0), _MOST_AGE_US)
    return _V3.pack(3, seq % 2**32, stamp_mono_ns, age_us) + _name(name) + jpeg


def _name(name: str) -> bytes:
    raw = name.encode()[:255]
    return bytes((len(raw),)) + raw
