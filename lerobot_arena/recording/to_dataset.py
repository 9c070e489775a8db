# SPDX-License-Identifier: Apache-2.0
"""Recordings as a LeRobotDataset v3: each run of the arm is an episode, each frame what the policy saw.

A run in which something was not seen becomes several: within an episode frames are evenly spaced.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput, NotFound, Unavailable
from lerobot_arena.recording.moments import Player, View, successful_epochs
from lerobot_arena.recording.reader import Recording

STATE, ACTION = "observation.state", "action"
SHORTEST_EPISODE = 2
_WHOLE_TOLERANCE = 1e-6


@dataclass
class Written:
    """What became of it; `misses` counts instants without an observation, by reason."""

    episodes: int = 0
    frames: int = 0
    left_out: int = 0
    misses: Counter[str] = field(default_factory=Counter)


def write_dataset(
    recordings: Sequence[tuple[Recording, View]],
    out: Path,
    *,
    repo_id: str = "local/recordings",
    task: str = "",
    use_videos: bool = False,
    only_successful: bool = False,
    on_episode: Callable[[Written], None] = lambda _: None,
) -> Written:
    """Write a new dataset under `out`, which must not exist yet. Pictures are PNG unless `use_videos`.

    All views have to be of policies with the same features. Raises InvalidInput, NotFound when there is no usable
    moment, Unavailable without LeRobot, DamagedFile.
    """
    if out.exists():
        raise InvalidInput(f"{out} exists already; name a new folder.")
    if not recordings:
        raise NotFound("There is no recording to write.")
    first = recordings[0][1]
    described = features(first, use_videos=use_videos)
    for _, view in recordings:
        if features(view, use_videos=use_videos) != described or view.manifest.fps != first.manifest.fps:
            raise InvalidInput(
                "The recordings are of policies with other joints, cameras or rates: write them apart."
            )
    dataset, written = None, Written()
    for recording, view in recordings:
        player = Player(recording, view)
        good = successful_epochs(recording) if only_successful else None
        for (_, epoch), moments in groupby(player.moments(), key=lambda each: (each.episode, each.epoch)):
            if good is not None and epoch not in good:
                written.left_out += 1
                continue
            dataset = dataset or _create(out, repo_id, first, described, use_videos)
            count = 0
            for moment in moments:
                pictures = {camera.key: moment.seen.frames[camera.name] for camera in view.manifest.cameras}
                state = {STATE: moment.seen.state.astype(np.float32)} if view.manifest.state_names else {}
                action = moment.action.astype(np.float32)
                text = task or view.wanted.language_instruction or _task_of(recording)
                dataset.add_frame({**pictures, **state, ACTION: action, "task": text})
                count += 1
            _end_episode(dataset, count, written)
            on_episode(written)
        written.misses.update(player.misses)
    if dataset is None or written.episodes == 0:
        raise NotFound(_nothing(written))
    dataset.finalize()
    return written


def _end_episode(dataset: Any, count: int, written: Written) -> None:
    if count < SHORTEST_EPISODE:
        dataset.clear_episode_buffer()
        written.left_out += 1
        return
    dataset.save_episode()
    written.episodes += 1
    written.frames += count


def _task_of(recording: Recording) -> str:
    said = recording.metadata
    return said.get("prompt") or said.get("task") or "recorded"


def _nothing(written: Written) -> str:
    why = "; ".join(f"{reason} ({count}×)" for reason, count in written.misses.most_common(3))
    text = "No episode could be made: nothing ran, or nothing was seen."
    if why:
        text += f" Most often: {why}."
    if "stale" in why or "nothing from" in why:
        text += " Pictures are recorded all the time only with the recorder's `images: all`."
    return text


def features(view: View, *, use_videos: bool = False) -> dict[str, dict[str, Any]]:
    """LeRobot's description of what the policy sees and does."""
    manifest = view.manifest
    found: dict[str, dict[str, Any]] = {ACTION: _joints(manifest.joint_names)}
    if manifest.state_names:
        found[STATE] = _joints(manifest.state_names)
    for camera in manifest.cameras:
        found[camera.key] = {
            "dtype": "video" if use_videos else "image",
            "shape": (camera.height, camera.width, 3),
            "names": ["height", "width", "channels"],
        }
    return found


def _joints(joint_names: Sequence[str]) -> dict[str, Any]:
    names = [f"{name}.pos" for name in joint_names]
    return {"dtype": "float32", "shape": (len(names),), "names": names}


def _create(out: Path, repo_id: str, view: View, described: dict[str, Any], use_videos: bool) -> Any:
    try:
        from datasets import disable_progress_bars
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    except ImportError as error:
        raise Unavailable(
            f"LeRobot is missing ({error}): `pip install 'lerobot[dataset]'` writes datasets."
        ) from error
    disable_progress_bars()  # one for every episode
    fps = round(view.manifest.fps)
    if abs(fps - view.manifest.fps) > _WHOLE_TOLERANCE:
        raise InvalidInput(f"The policy runs at {view.manifest.fps} Hz; LeRobot's datasets take whole rates.")
    return LeRobotDataset.create(
        repo_id,
        fps,
        described,
        root=out,
        robot_type=view.robot.name if view.robot else None,
        use_videos=use_videos,
        video_backend="pyav",
    )
