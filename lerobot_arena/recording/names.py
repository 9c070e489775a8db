# SPDX-License-Identifier: Apache-2.0
"""What is recorded of an arm and under which names, and the names of sessions and their files."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lerobot_arena.core import topics
from lerobot_arena.core.ids import escape

SUFFIX = ".mcap"
METADATA = "metadata.yaml"
_SESSION = re.compile(r"sess_(\d{8}_\d{6}_[0-9a-f]{6})")
_FILE = re.compile(r"session_(\d{8}_\d{6}_[0-9a-f]{6})(?:_(\d{1,6}))?\.mcap")
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = frozenset((IMAGE, COMPRESSED_IMAGE))
_COMPRESSED = topics.compressed("")
# Of everybody, and small: the wanted state, boundaries, the robot's shape, the frames.
_GLOBAL = frozenset(
    (topics.WANTED, topics.SESSIONS, topics.GUARD_CONFIG, "/robot_description", "/tf", "/tf_static")
)
_OF_ARM = frozenset((
    topics.JOINT_STATES, topics.ROBOT_DESCRIPTION, topics.COMMAND, topics.CHUNK_REQUEST, topics.ACTION_CHUNK,
    topics.GUARD_STATE, topics.TASK_STATUS, "tf", "tf_static",
))  # fmt: skip
_FOLDERS_OF_ARM = ("dam/", "embodiment/")


def new_session_id(wall_ns: int, random: bytes) -> str:
    """`sess_YYYYMMDD_HHMMSS_xxxxxx` in UTC; `random` gives the last six digits."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime(wall_ns // 1_000_000_000))
    return f"sess_{stamp}_{random[:3].hex()}"


def is_session_id(text: str) -> bool:
    """Whether `text` can be a session's id, and so a folder's name."""
    return _SESSION.fullmatch(text) is not None


def file_name(session_id: str, number: int) -> str:
    """Name of a session's file; the first, number 0, has no number."""
    stem = session_id.replace("sess_", "session_", 1)
    return f"{stem}_{number}{SUFFIX}" if number else f"{stem}{SUFFIX}"


def file_number(name: str) -> int:
    """Which file of its session this is; -1 when it is none."""
    match = _FILE.fullmatch(name)
    return -1 if match is None else int(match[2] or 0)


def session_files(folder: Path) -> list[Path]:
    """The recording's files in order."""
    found = [path for path in folder.iterdir() if file_number(path.name) >= 0 and path.is_file()]
    return sorted(found, key=lambda path: file_number(path.name))


def session_folders(root: Path) -> list[Path]:
    """All recordings below `root`, the oldest first."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if is_session_id(path.name) and path.is_dir())


@dataclass(frozen=True, slots=True)
class Belonging:
    """What belongs to an arm's sessions besides its own topics: base topic → camera, and rooms."""

    cameras: Mapping[str, str] = field(default_factory=dict)
    rooms: frozenset[str] = frozenset()


def recorded_as(topic: str, type_name: str, arm: str, belonging: Belonging) -> str:
    """The name under which a topic is recorded with `arm`; empty: it is not.

    A camera is recorded as `dam/images/<camera>`, whether it comes as Image or as CompressedImage.
    """
    if type_name in IMAGE_TYPES:
        base = topic.removesuffix(_COMPRESSED)
        camera = _camera_of(base, arm) or escape(belonging.cameras.get(base, ""))
        return topics.on_arm(arm, topics.images(camera)) if camera else ""
    if topic in _GLOBAL or topic in belonging.rooms:
        return topic
    own = topic.removeprefix(f"/{arm}/")
    return topic if own != topic and (own in _OF_ARM or own.startswith(_FOLDERS_OF_ARM)) else ""


def _camera_of(base: str, arm: str) -> str:
    match = re.fullmatch(rf"/{re.escape(arm)}/cameras/([^/]+)/image_raw", base)
    return match[1] if match else ""


def base_of(topic: str) -> str:
    """A camera's base topic: its Image and its CompressedImage twin share it."""
    return topic.removesuffix(_COMPRESSED)


def as_in_seed(topic: str, arm: str) -> str:
    """A recorded name without the arm's namespace where the API shows it: `/dam/cycle` for `/arm/dam/cycle`."""
    return topic.removeprefix(f"/{arm}") if topic.startswith(f"/{arm}/") else topic


def recordings_root(chosen: str, environment: Mapping[str, str]) -> Path:
    """Where recordings are: `chosen`, else recordings/ in ARENA_DATA_DIR (~/.local/share/lerobot_arena)."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    data = environment.get("ARENA_DATA_DIR") or str(Path(base) / "lerobot_arena")
    return Path(data).expanduser().absolute() / "recordings"
