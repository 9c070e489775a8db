# SPDX-License-Identifier: Apache-2.0
"""What a video room was created with: how its pictures are sent, and what is shown when none come.

Field names, defaults and bounds are those of the LeRobot Arena transport server; `relay` is ours.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from lerobot_arena.core.errors import InvalidInput

ENCODINGS = ("vp8", "h264", "jpeg")
SERVER_RELAY, P2P_RELAY = "server", "p2p"
RELAYS = (SERVER_RELAY, P2P_RELAY)

FREEZE, INFO, BLACK, FADE, OVERLAY = (
    "freeze_last_frame",
    "connection_info",
    "black_screen",
    "fade_to_black",
    "overlay_status",
)
POLICIES = (FREEZE, INFO, BLACK, FADE, OVERLAY)

SMALLEST_SIDE, LARGEST_WIDTH, LARGEST_HEIGHT = 16, 1920, 1200
LARGEST_BITRATE = 20_000_000

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """How the server sends a room's pictures. `bitrate` in bit/s, `quality` of JPEG in percent."""

    encoding: str = "vp8"
    width: int = 640
    height: int = 480
    framerate: int = 30
    bitrate: int = 1_000_000
    quality: int = 80
    relay: str = SERVER_RELAY

    def to_json(self) -> dict[str, Any]:
        """As clients send and read it."""
        values = asdict(self)
        return {
            "encoding": values.pop("encoding"),
            "resolution": {"width": values.pop("width"), "height": values.pop("height")},
            **values,
        }


@dataclass(frozen=True, slots=True)
class RecoveryConfig:
    """What watchers are shown when no picture came for `frame_timeout_ms`."""

    frame_timeout_ms: int = 100
    max_frame_reuse_count: int = 3
    recovery_policy: str = FREEZE
    fallback_policy: str = INFO
    show_hold_indicators: bool = True
    info_frame_bg_color: Colour = (20, 30, 60)
    info_frame_text_color: Colour = (200, 200, 200)
    fade_intensity: float = 0.7
    overlay_opacity: float = 0.3

    def to_json(self) -> dict[str, Any]:
        """As clients send and read it."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def video_config(values: Mapping[str, Any], base: VideoConfig | None = None) -> VideoConfig:
    """Read a client's `config`; what it leaves out is kept from `base`. Raises InvalidInput naming the field."""
    given = _known(values, {*_names(VideoConfig), "resolution"} - {"width", "height"}, "config")
    size = given.pop("resolution", None)
    kept = {**asdict(base or VideoConfig()), **given}
    if size is not None:
        kept |= _size(size)
    encoding = kept["encoding"]
    if encoding == "vp9":
        raise InvalidInput("Encoding vp9 cannot be sent by this server: choose vp8, h264 or jpeg.")
    return VideoConfig(
        encoding=_choice("encoding", encoding, ENCODINGS),
        width=_whole("resolution.width", kept["width"], SMALLEST_SIDE, LARGEST_WIDTH),
        height=_whole("resolution.height", kept["height"], SMALLEST_SIDE, LARGEST_HEIGHT),
        framerate=_whole("framerate", kept["framerate"], 1, 120),
        bitrate=_whole("bitrate", kept["bitrate"], 100_000, LARGEST_BITRATE),
        quality=_whole("quality", kept["quality"], 1, 100),
        relay=_choice("relay", kept["relay"], RELAYS),
    )


def recovery_config(values: Mapping[str, Any]) -> RecoveryConfig:
    """Read a client's `recovery_config`. Raises InvalidInput naming the field."""
    kept = {**asdict(RecoveryConfig()), **_known(values, _names(RecoveryConfig), "recovery_config")}
    if not isinstance(kept["show_hold_indicators"], bool):
        raise InvalidInput("show_hold_indicators must be true or false.")
    return RecoveryConfig(
        frame_timeout_ms=_whole("frame_timeout_ms", kept["frame_timeout_ms"], 10, 1000),
        max_frame_reuse_count=_whole("max_frame_reuse_count", kept["max_frame_reuse_count"], 1, 10),
        recovery_policy=_choice("recovery_policy", kept["recovery_policy"], POLICIES),
        fallback_policy=_choice("fallback_policy", kept["fallback_policy"], POLICIES),
        show_hold_indicators=kept["show_hold_indicators"],
        info_frame_bg_color=_colour("info_frame_bg_color", kept["info_frame_bg_color"]),
        info_frame_text_color=_colour("info_frame_text_color", kept["info_frame_text_color"]),
        fade_intensity=_share("fade_intensity", kept["fade_intensity"]),
        overlay_opacity=_share("overlay_opacity", kept["overlay_opacity"]),
    )


def _names(kind: type) -> set[str]:
    return {item.name for item in fields(kind)}


def _known(values: Mapping[str, Any], names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise InvalidInput(f"{what} must be an object.")
    # Upstream clients send fields they leave to the server as null.
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := sorted(str(name) for name in set(given) - names):
        raise InvalidInput(f"{what} has no field {unknown[0][:50]!r}. It has: {', '.join(sorted(names))}.")
    return given


def _size(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) != {"width", "height"}:
        raise InvalidInput("resolution must be an object with width and height.")
    return dict(value)


def _whole(name: str, value: Any, lowest: int, highest: int) -> int:
    if isinstance(value, float) and isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidInput(f"{name} must be a whole number from {lowest} to {highest}.")
    return value


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise InvalidInput(f"{name} must be a number from 0 to 1.")
    return float(value)


def _choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InvalidInput(f"{name} must be one of {', '.join(known)}.")
    return str(value)


def _colour(name: str, value: Any) -> Colour:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise InvalidInput(f"{name} must be three whole numbers from 0 to 255.")
    red, green, blue = (_whole(name, part, 0, 255) for part in value)
    return red, green, blue
