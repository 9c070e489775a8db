# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder node."""

from dataclasses import dataclass

from lerobot_arena.core.params import param


@dataclass(frozen=True, slots=True)
class RecorderParams:
    """Defaults record pictures around violations, and stop before a disk is full."""

    folder: str = param("", "Where recordings go; empty: recordings/ in ARENA_DATA_DIR.")
    record_on_start: bool = param(False, "Begin to record when the node starts.")
    robot: str = param("so101", "Robot name or .yaml file whose hash goes into the recording.")
    images: str = param(
        "violations", "Which pictures are recorded.", choices=("violations", "clamps", "all", "none")
    )
    window_s: float = param(
        10.0, "Seconds of pictures kept before and after a violation or clamp.", lowest=0.0, highest=120.0
    )
    image_format: str = param(
        "jpeg", "jpeg packs Images as CompressedImage; raw keeps them.", choices=("jpeg", "raw")
    )
    jpeg_quality: int = param(90, "JPEG quality.", lowest=10, highest=100)
    ring_mb: int = param(256, "Memory for the pictures of window_s, MiB.", lowest=1, highest=8192)
    rotate_mb: int = param(
        1024, "A new file begins after so many MiB; 0: never.", lowest=0, highest=1_000_000
    )
    rotate_s: float = param(
        3600.0, "A new file begins after so many seconds; 0: never.", lowest=0.0, highest=1e7
    )
    sync_s: float = param(
        0.3, "Longest time until what came survives a power cut, seconds.", lowest=0.05, highest=1.0
    )
    queue_mb: int = param(128, "Memory for what is not written yet, MiB.", lowest=1, highest=8192)
    queue_messages: int = param(
        50_000, "Messages that may wait to be written.", lowest=10, highest=10_000_000
    )
    min_free_mb: int = param(
        1024, "Free space below which on_low_space applies, MiB.", lowest=0, highest=10_000_000
    )
    on_low_space: str = param(
        "stop",
        "What then: stop recording, or delete the oldest recordings without a violation.",
        choices=("stop", "delete_oldest"),
    )
    retry_s: float = param(2.0, "Seconds between attempts when the disk refuses.", lowest=0.1, highest=600.0)
