# SPDX-License-Identifier: Apache-2.0
"""A policy of LeRobot's, or our ONNX export of one, as a zip: looked into in the child process, described as facts.

No weights are loaded: the JSON is read, and of tensors and graphs their headers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.units import UNITS
from lerobot_arena.inference.dataset_info import TRAIN_CONFIG
from lerobot_arena.platform.catalog import reading
from lerobot_arena.platform.catalog.limits import ChildLimits, Limits, MiB, OnnxLimits, ZipLimits

SUFFIXES = (".safetensors", ".json", ".onnx")
MOST_BYTES = 2_000_000_000
_WHAT = "checkpoint's zip"
_MOST_NAMES, _MOST_PIXELS, _MOST_STEPS, _MOST_HZ = 64, 8192, 100_000, 1000.0
_CAMERA_SIZES = ("height", "width", "trained_height", "trained_width")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the zip, by its path in there."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a checkpoint says of itself; None is what a session that uses it has to say. `folder` is inside the zip.

    `cameras` by name, each with the sizes of inference.manifest.CameraInput in pixels; `fps` in steps a second.
    """

    folder: str
    members: tuple[Member, ...]
    kind: str
    policy_type: str
    cameras: Mapping[str, Mapping[str, int]]
    chunk_size: int
    n_action_steps: int
    action_size: int
    joint_names: tuple[str, ...] | None
    unit: str | None
    fps: float | None
    takes_task: bool
    precision: str

    def to_json(self) -> dict[str, Any]:
        """As an item keeps it."""
        return asdict(self)


def limits(most_bytes: int = MOST_BYTES) -> Limits:
    """How large a checkpoint may be, unpacked too, and what the process that looks into it may take."""
    unpacked = most_bytes + most_bytes // 4
    return Limits(
        zip=ZipLimits(file_bytes=most_bytes, members=200, member_bytes=unpacked, unpacked_bytes=unpacked, path_depth=4),
        onnx=OnnxLimits(file_bytes=min(most_bytes, 1024 * MiB), nodes=50_000, parameters=500_000_000),
        child=ChildLimits(cpu_s=300, wall_s=400.0, written_bytes=unpacked),
    )  # fmt: skip


def look(archive: Path, inside: Path, limits: Limits) -> dict[str, Any]:
    """Unpack into `inside` and describe; what `facts` reads. Raises InvalidInput, PolicyError. For the child only."""
    from lerobot_arena.inference.describe import describe_policy
    from lerobot_arena.inference.weights import file_sha256, safetensors_header
    from lerobot_arena.platform.catalog import bundle, onnx_file

    paths = bundle.unpack(archive, inside, limits.zip, what=_WHAT, suffixes=SUFFIXES)
    members = [
        asdict(Member(path, (inside / path).stat().st_size, file_sha256(inside / path))) for path in paths
    ]
    for path in paths:
        if path.endswith(".safetensors"):
            safetensors_header(inside / path)
        elif path.endswith(".onnx"):
            onnx_file.look(inside / path, limits.onnx)
    folder = find_folder(paths)
    drop_train_configs(inside)
    told = describe_policy(str(inside / folder)).to_json()
    cameras = {
        camera["name"]: {size: camera[size] for size in _CAMERA_SIZES} for camera in told.pop("cameras")
    }
    return {"folder": folder, "members": members, "cameras": cameras, **told}


def pack(folder: Path, archive: Path) -> None:
    """Zip what of a policy's folder is published. Raises InvalidInput when there is no policy in it."""
    from lerobot_arena.platform.catalog import bundle

    names = [
        name for name in bundle.plain_files(folder) if name.endswith(SUFFIXES) and not is_train_config(name)
    ]
    find_folder(names)
    bundle.pack(folder, archive, names)


def is_train_config(path: str) -> bool:
    """Whether a member names data sets by their folders on its publisher's machine, which here are somebody else's."""
    return PurePosixPath(path).name == TRAIN_CONFIG


def drop_train_configs(inside: Path) -> None:
    """Of what was unpacked, remove what may not be read here."""
    for path in inside.rglob(TRAIN_CONFIG):
        if path.is_file():
            path.unlink()


def find_folder(paths: Sequence[str]) -> str:
    """Where in the zip the policy lies: its top, or the one folder that everything is in. Raises InvalidInput."""
    shared = PurePosixPath()
    while True:
        below = [PurePosixPath(path).relative_to(shared).parts for path in paths]
        if any(
            len(parts) == 1 and (parts[0] == "config.json" or parts[0].endswith(".onnx")) for parts in below
        ):
            return "" if shared == PurePosixPath() else str(shared)
        heads = {parts[0] for parts in below if len(parts) > 1}
        if len(heads) != 1 or any(len(parts) == 1 for parts in below):
            raise InvalidInput(
                f"The {_WHAT} is no policy folder: it needs LeRobot's config.json and model.safetensors, or model.onnx "
                "and manifest.json, at its top or in one folder."
            )
        shared /= heads.pop()


def facts(told: Any, where: str = "The check's answer") -> CheckpointFacts:
    """Of what the child or the shelf says. Raises InvalidInput when that is not as `look` answers."""
    entry = dict(strict.mapping(told, where))
    strict.only(entry, CheckpointFacts, where)
    reading.required(entry, ("folder", "members", "kind", "policy_type", "cameras", "chunk_size"), where)
    members = entry["members"]
    if not isinstance(members, list) or not 1 <= len(members) <= 200:
        raise InvalidInput(f"{where}: members must be a list of 1 to 200 files.")
    names, unit, fps = entry.get("joint_names"), entry.get("unit"), entry.get("fps")
    return CheckpointFacts(
        folder=_text(entry["folder"], f"{where}: folder"),
        members=tuple(m for m in (_member(member, where) for member in members) if not is_train_config(m.path)),
        kind=strict.choice(entry["kind"], ("lerobot", "onnx"), f"{where}: kind"),
        policy_type=reading.plain_name(entry["policy_type"], f"{where}: policy_type"),
        cameras=_cameras(entry["cameras"], where),
        chunk_size=strict.whole(entry["chunk_size"], f"{where}: chunk_size", 1, _MOST_STEPS),
        n_action_steps=strict.whole(entry.get("n_action_steps"), f"{where}: n_action_steps", 1, _MOST_STEPS),
        action_size=strict.whole(entry.get("action_size"), f"{where}: action_size", 1, _MOST_NAMES),
        joint_names=None if names is None else reading.plain_names(names, f"{where}: joint_names", _MOST_NAMES),
        unit=None if unit is None else strict.choice(unit, UNITS, f"{where}: unit"),
        fps=None if fps is None else strict.number(fps, f"{where}: fps", 0.0, _MOST_HZ),
        takes_task=strict.flag(entry.get("takes_task"), f"{where}: takes_task"),
        precision=_text(entry.get("precision"), f"{where}: precision"),
    )  # fmt: skip


def _text(value: Any, what: str) -> str:
    return "" if value in (None, "") else reading.plain_name(value, what)


def _member(value: Any, where: str) -> Member:
    entry = strict.mapping(value, f"{where}: a member")
    path, sha256 = entry.get("path"), entry.get("sha256")
    if not isinstance(path, str) or not isinstance(sha256, str) or len(sha256) != 64:
        raise InvalidInput(f"{where}: a member has no path or digest.")
    return Member(path, strict.whole(entry.get("size"), f"{where}: size", 0, 1 << 40), sha256)


def _cameras(value: Any, where: str) -> dict[str, dict[str, int]]:
    entry = strict.mapping(value, f"{where}: cameras")
    if len(entry) > _MOST_NAMES:
        raise InvalidInput(f"{where}: there are more than {_MOST_NAMES} cameras.")
    return {
        reading.plain_name(name, f"{where}: a camera"): {
            size: strict.whole(strict.mapping(sizes, name).get(size), f"{where}: {size}", 1, _MOST_PIXELS)
            for size in _CAMERA_SIZES
        }
        for name, sizes in entry.items()
    }
