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
    # Pictures from before a violation stand behind it, so spans overlap: the one that ends last need not have it.
    best: tuple[RecordedFile, RawMessage] | None = None
    for file, span in sorted(places, key=lambda place: place[1].end_ns, reverse=True):
        if span.start_ns > at_ns or (best is not None and best[1].log_time >= span.end_ns):
            continue
        for raw in _pictures(file, span, topic):
            if raw.log_time <= at_ns and (best is None or raw.log_time > best[1].log_time):
                best = file, raw
    if best is not None:
        return best
    for file, span in sorted(places, key=lambda place: place[1].start_ns):
        return file, min(_pictures(file, span, topic), key=lambda raw: raw.log_time)
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
