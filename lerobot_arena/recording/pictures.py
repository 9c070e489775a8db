# SPDX-License-Identifier: Apache-2.0
"""One picture of a recording, found without reading the rest."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.core.strict import did_you_mean
from lerobot_arena.recording import values
from lerobot_arena.recording.index import IMAGE_TYPES, Span
from lerobot_arena.recording.reader import RecordedFile, Recording
from lerobot_arena.recording.records import RawMessage

JPEG_QUALITY = 85


def jpeg_at(recording: Recording, camera: str, at_ns: int) -> tuple[bytes, int]:
    """The camera's last picture recorded until `at_ns`, else its first; as JPEG, with its log time.

    Raises InvalidInput for an unknown camera, NotFound without a picture, DamagedFile.
    """
    topic = recording.cameras.get(camera)
    if topic is None:
        raise InvalidInput(
            f"There is no camera {camera[:100]!r} in this recording.{did_you_mean(camera[:100], recording.cameras)}"
        )
    places = [
        (file, span)
        for file in recording.files
        for span in file.index.spans
        if any(file.index.channels[number][0] == topic for number in span.counts)
    ]
    file, raw = _last_until(places, topic, at_ns)
    value = values.decoded(file.decoder(raw.channel_id), raw.data, IMAGE_TYPES[0])
    if getattr(value, "format", "").partition(";")[0].strip() in {"jpeg", "jpg"}:
        return bytes(value.data), raw.log_time
    return _encoded(values.frame_of(value, camera, raw.log_time).image), raw.log_time


def _last_until(
    places: Sequence[tuple[RecordedFile, Span]], topic: str, at_ns: int
) -> tuple[RecordedFile, RawMessage]:
    # A span may begin before the wanted time, and have its first picture after it: then it is in one before.
    for file, span in reversed([place for place in places if place[1].start_ns <= at_ns]):
        found = [raw for raw in _pictures(file, span, topic) if raw.log_time <= at_ns]
        if found:
            return file, found[-1]
    for file, span in places:
        return file, _pictures(file, span, topic)[0]
    raise NotFound("This recording has no picture of that camera.")


def _pictures(file: RecordedFile, span: Span, topic: str) -> list[RawMessage]:
    ids = {number for number, (name, _) in file.index.channels.items() if name == topic}
    return list(file.raw_messages(span, ids))


def _encoded(pixels: Any) -> bytes:
    import cv2

    done, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InvalidInput("The picture cannot be turned into a JPEG.")
    return bytes(data)
