# SPDX-License-Identifier: Apache-2.0
"""A room's pictures as a WebRTC track. RTP timestamps are steady time at 90 kHz, whatever the rate really is."""

from fractions import Fraction
from typing import Any

from lerobot_arena.rooms.media_stage import Stage
from lerobot_arena.rooms.webrtc_aiortc import VIDEO_HZ


def make_track(stage: Stage) -> Any:
    """A MediaStreamTrack of what `stage` shows, for one watcher."""
    import av
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError

    class StageTrack(MediaStreamTrack):
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self._number = 0
            self._began_s: float | None = None
            self._pts = -1

        async def recv(self) -> Any:
            """The next picture that this watcher has not seen."""
            if self.readyState != "live":
                raise MediaStreamError
            shown = await stage.after(self._number)
            self._number = shown.number
            if self._began_s is None:
                self._began_s = shown.at_s
            frame = av.VideoFrame.from_ndarray(shown.planes, format="yuv420p")
            self._pts = max(self._pts + 1, round((shown.at_s - self._began_s) * VIDEO_HZ))
            frame.pts = self._pts
            frame.time_base = Fraction(1, VIDEO_HZ)
            return frame

    return StageTrack()
