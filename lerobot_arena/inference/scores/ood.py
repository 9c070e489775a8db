# SPDX-License-Identifier: Apache-2.0
"""`ood`: the detector's distance from the training data, for a policy that came with one (`ood.safetensors`)."""

from collections.abc import Iterator
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput, PolicyError
from lerobot_arena.core.hardware import Score
from lerobot_arena.inference.area import area_factors
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.scores.detector import Detector
from lerobot_arena.inference.scores.detector_file import FILE_NAME, describe_detector, read_detector
from lerobot_arena.inference.scores.features import Layout
from lerobot_arena.inference.scores.protocol import Seen

OOD = "ood"
# Other kinds have no folder of their own.
_IN_FOLDERS = frozenset({"onnx", "lerobot"})


def make(manifest: PolicyManifest) -> "OutOfDistribution | None":
    """See protocol.Maker: None without the file. Raises PolicyError for one that is not this policy's."""
    folder = Path(manifest.path)
    detector = read_detector(folder) if manifest.kind in _IN_FOLDERS else None
    if detector is None:
        return None
    try:
        layout = Layout.of(manifest)
        for camera in manifest.cameras:
            sizes = {"to_height": camera.trained_height, "to_width": camera.trained_width}
            area_factors(camera.height, camera.width, **sizes)
    except InvalidInput as error:
        raise PolicyError(f"{folder}: {error}") from error
    if set(detector.layout.cameras) != set(layout.cameras) or detector.layout.joints != layout.joints:
        raise PolicyError(
            f"{folder}: {FILE_NAME} was fitted for {_described(detector.layout)}, but the policy sees "
            f"{_described(layout)}. Fit it again, or remove the file to run without an ood score."
        )
    return OutOfDistribution(detector)


def described(kind: str, folder: Path) -> str:
    """For a session's metadata; empty when the policy comes without a detector. Raises PolicyError."""
    return describe_detector(folder) if kind in _IN_FOLDERS else ""


def _described(layout: Layout) -> str:
    cameras = ", ".join(f"{name} {width}×{height}" for name, height, width in layout.cameras)
    return f"{cameras or 'no camera'} and {layout.joints} joints"


class OutOfDistribution:
    """Keeps nothing of what it saw."""

    def __init__(self, detector: Detector) -> None:
        """Raises InvalidInput for a detector without a threshold."""
        if detector.calibration is None:
            raise InvalidInput("The detector has no threshold yet: calibrate it on successful episodes.")
        self._detector = detector
        self._threshold = detector.calibration.threshold

    def reset(self) -> None:
        """See protocol.Scorer."""

    def score(self, seen: Seen) -> Iterator[Score]:
        """See protocol.Scorer."""
        yield Score(OOD, self._detector.distance(seen.frames, seen.state), self._threshold)
