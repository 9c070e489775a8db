# SPDX-License-Identifier: Apache-2.0
"""What people see while a room's pictures do not come. Numpy in, numpy out; for watchers only.

Never on a ROS topic: a guard or a policy must see that the camera is dead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.rooms.video_config import BLACK, FADE, FREEZE, INFO, OVERLAY, Colour, RecoveryConfig

Picture = NDArray[np.uint8]

NO_PRODUCER, NO_FRAMES = "no_producer", "frame_timeout"
# A camera slower than the timeout is not lost between two of its frames.
_PATIENCE, _LONGEST_INTERVAL_S, _MEMORY = 1.5, 1.0, 0.8
_FADE_S = 1.0
_HOLD_COLOUR: Colour = (255, 170, 0)


@dataclass(frozen=True, slots=True)
class Loss:
    """No picture came in time. `policy` says what to show instead, `is_new` that it was another one until now."""

    policy: str
    lost_s: float
    reuse: int
    is_new: bool


class RecoveryClock:
    """When a room's pictures count as lost, and which policy applies. Times are seconds on any steady clock."""

    def __init__(self, config: RecoveryConfig, now_s: float) -> None:
        self.config = config
        self._seen_s, self._interval_s = now_s, 0.0
        self._has_frame = False
        self._policy = ""

    def on_frame(self, now_s: float) -> None:
        """A picture came."""
        interval_s = min(now_s - self._seen_s, _LONGEST_INTERVAL_S)
        if self._has_frame and not self._policy:
            self._interval_s = (
                _MEMORY * self._interval_s + (1 - _MEMORY) * interval_s if self._interval_s else interval_s
            )
        self._seen_s, self._has_frame, self._policy = now_s, True, ""

    @property
    def timeout_s(self) -> float:
        """`frame_timeout_ms`, or one and a half of the source's own interval when that is longer."""
        return max(self.config.frame_timeout_ms / 1000, _PATIENCE * self._interval_s)

    def look(self, now_s: float) -> Loss | None:
        """What is to be shown instead of new pictures; None while they come."""
        lost_s = now_s - self._seen_s
        if lost_s < self.timeout_s:
            return None
        # Each timeout without a picture shows the last one once more, before the fallback takes over.
        reuse = int(lost_s / self.timeout_s)
        policy = (
            self.config.recovery_policy
            if reuse <= self.config.max_frame_reuse_count
            else self.config.fallback_policy
        )
        is_new, self._policy = policy != self._policy, policy
        return Loss(policy, lost_s, reuse, is_new)


def stand_in(loss: Loss, last: Picture | None, config: RecoveryConfig, *, width: int, height: int) -> Picture:
    """The picture (H×W×3 rgb) of a loss; `last` has that size. Without a last picture the info picture stands in."""
    if loss.policy == BLACK:
        return np.zeros((height, width, 3), dtype=np.uint8)
    if last is None or loss.policy == INFO:
        return info_picture(loss.lost_s, config, width=width, height=height)
    if loss.policy == FADE:
        share = config.fade_intensity * min(loss.lost_s / _FADE_S, 1.0)
        return _blend(last, (0, 0, 0), share)
    if loss.policy == OVERLAY:
        shown = _blend(last, config.info_frame_bg_color, config.overlay_opacity)
        _write(shown, f"RECONNECTING... {loss.lost_s:.1f} s", config.info_frame_text_color, centred=True)
        return shown
    assert loss.policy == FREEZE, loss.policy
    return _held(last, loss.lost_s) if config.show_hold_indicators else last.copy()


def info_picture(lost_s: float, config: RecoveryConfig, *, width: int, height: int) -> Picture:
    """The `connection_info` picture."""
    shown = np.empty((height, width, 3), dtype=np.uint8)
    shown[:] = config.info_frame_bg_color
    _write(shown, "RECONNECTING...", config.info_frame_text_color, centred=True)
    _write(shown, f"no picture for {lost_s:.1f} s", config.info_frame_text_color, centred=False)
    return shown


def _held(last: Picture, lost_s: float) -> Picture:
    shown = last.copy()
    rim = max(2, min(shown.shape[:2]) // 80)
    for edge in (shown[:rim], shown[-rim:], shown[:, :rim], shown[:, -rim:]):
        edge[:] = _HOLD_COLOUR
    _write(shown, f"HOLD {lost_s:.1f} s", _HOLD_COLOUR, centred=False)
    return shown


def _blend(picture: Picture, colour: Colour, share: float) -> Picture:
    mixed = picture.astype(np.float32) * (1.0 - share) + np.array(colour, dtype=np.float32) * share
    return mixed.astype(np.uint8)


def _write(picture: Picture, text: str, colour: Colour, *, centred: bool) -> None:
    import cv2

    height, width = picture.shape[:2]
    scale = width / (900.0 if centred else 1400.0)
    thickness = max(1, round(scale * 2))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, thickness)
    left = (width - text_width) // 2 if centred else width // 50 + 2
    bottom = (height + text_height) // 2 if centred else height - height // 25 - 2
    cv2.putText(picture, text, (left, bottom), font, scale, colour, thickness, cv2.LINE_AA)


def fit(picture: Picture, *, width: int, height: int) -> Picture:
    """Scale to width×height with the aspect kept; what is left over stays black. The same picture when it fits."""
    import cv2

    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    scale = min(width / columns, height / rows)
    inner = max(1, min(width, round(columns * scale))), max(1, min(height, round(rows * scale)))
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    scaled = cv2.resize(picture, inner, interpolation=how)
    shown = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    shown[top : top + inner[1], left : left + inner[0]] = scaled
    return shown
