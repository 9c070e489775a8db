# SPDX-License-Identifier: Apache-2.0
"""A new threshold for a policy's detector from recordings of one's own robot, camera and light."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.scores.detector import Calibration
from lerobot_arena.inference.scores.detector_file import FILE_NAME, read_detector, write_detector
from lerobot_arena.inference.scores.protocol import Pixels

Moment = tuple[Mapping[str, Pixels], FloatArray]


def calibrate(folder: Path, episodes: Iterable[Iterable[Moment]], *, alpha: float) -> Calibration:
    """Set the threshold of folder/ood.safetensors on successful episodes and write it; in use from the next load.

    An episode is its (frames, state) moments: camera → uint8 H×W×3 of the live or the trained size, and the state in
    the policy's unit and order. Raises NotFound without a detector, PolicyError for an unusable one, InvalidInput for
    too few episodes, saying how many it takes; the file is then as it was.
    """
    detector = read_detector(folder)
    if detector is None:
        raise NotFound(f"{folder} has no {FILE_NAME}: this policy came without a detector.")
    distances = [[detector.distance(frames, state) for frames, state in episode] for episode in episodes]
    calibrated = detector.calibrated(distances, alpha)
    write_detector(folder, calibrated)
    assert calibrated.calibration is not None
    return calibrated.calibration
