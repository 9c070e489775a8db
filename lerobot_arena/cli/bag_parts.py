# SPDX-License-Identifier: Apache-2.0
"""`arena bag info` and `arena bag export`: look into a recording, and take something out of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from lerobot_arena.cli.output import ERR, print_fields, print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson
from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.recording.cycles import cycle_range, windows
from lerobot_arena.recording.reader import ALL, Recording, open_recording

PathArgument = Annotated[Path, typer.Argument(help="An MCAP file, or a recording's folder.", exists=True)]
Start = Annotated[int, typer.Option("--start-cycle", min=0, help="First cycle.")]
End = Annotated[int, typer.Option("--end-cycle", min=ALL, help="Last cycle; -1: to the end.")]


def info(path: PathArgument, as_json: AsJson = False) -> None:
    """What a recording holds."""
    with open_recording(path) as recording:
        facts = _facts(recording)
        if as_json:
            print_json(facts)
            return
        channels = facts.pop("channels")
        print_fields(facts)
        print_table(
            ("topic", "type", "messages"), [(c["topic"], c["type"], str(c["messages"])) for c in channels]
        )


def _facts(recording: Recording) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for file in recording.files:
        for topic, count in file.index.counts().items():
            counts[topic] = counts.get(topic, 0) + count
    known = cycle_range(recording)
    start_ns, end_ns = recording.start_ns, recording.end_ns
    return {
        "files": [file.source.path.name for file in recording.files],
        "size_mb": sum(file.source.size for file in recording.files) / 1e6,
        "arm": recording.arm,
        "start": datetime.fromtimestamp(start_ns / NS).isoformat(sep=" ") if start_ns else None,
        "duration_s": (end_ns - start_ns) / NS,
        "cycles": sum(file.index.total("cycles") for file in recording.files),
        "first_cycle": known[0] if known else None,
        "last_cycle": known[1] if known else None,
        "violations": sum(file.index.total("violations") for file in recording.files),
        "clamps": sum(file.index.total("clamps") for file in recording.files),
        "cameras": sorted(recording.cameras),
        "damage": recording.damage,
        "metadata": dict(recording.metadata),
        "channels": [
            {"topic": topic, "type": recording.topics[topic], "messages": counts[topic]} for topic in sorted(counts)
        ],
    }  # fmt: skip


def export(
    path: PathArgument,
    out: Annotated[
        Path,
        typer.Argument(
            help="A new file; its ending says what: .csv cycles, .json messages, .mp4 a camera, .mcap a part."
        ),
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Only this one; may be given several times (.json, .mcap)."),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Which one (.mp4); may be left out when there is one.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames a second (.mp4).")] = 30.0,
    start_cycle: Start = 0,
    end_cycle: End = ALL,
) -> None:
    """Write a part of a recording, or all of it, into a file of another kind."""
    kinds: dict[str, Callable[[Recording], str]] = {
        ".csv": lambda recording: _csv(recording, out, start_cycle, end_cycle),
        ".json": lambda recording: _json(recording, out, topic or [], start_cycle, end_cycle),
        ".mp4": lambda recording: _video(recording, out, camera, fps, start_cycle, end_cycle),
        ".mcap": lambda recording: _mcap(recording, out, topic or [], start_cycle, end_cycle),
    }
    write = kinds.get(out.suffix.lower())
    if write is None:
        raise InvalidInput(f"{out}: end its name in {', '.join(kinds)}.")
    if out.exists():
        raise InvalidInput(f"{out} exists already.")
    with open_recording(path) as recording:
        try:
            print_line(f"Written to {out}: {write(recording)}.")
        except OSError as error:
            if not isinstance(error, FileExistsError):
                out.unlink(missing_ok=True)
            raise InvalidInput(f"{out} cannot be written: {error.strerror}.") from error
        except BaseException:
            out.unlink(missing_ok=True)
            raise


def _csv(recording: Recording, out: Path, start: int, end: int) -> str:
    from lerobot_arena.recording.export_table import write_cycles_csv

    with _new(out) as file:
        return f"{write_cycles_csv(recording, file, start=start, end=end)} cycles"


def _json(recording: Recording, out: Path, topics: list[str], start: int, end: int) -> str:
    from lerobot_arena.recording.export_table import write_messages_json

    start_ns, end_ns = _stretch(recording, start, end)
    with _new(out) as file:
        chosen = [recording.topic(name) for name in topics]
        return f"{write_messages_json(recording, file, topics=chosen, start_ns=start_ns, end_ns=end_ns)} messages"


def _video(recording: Recording, out: Path, camera: str | None, fps: float, start: int, end: int) -> str:
    from lerobot_arena.recording.export_video import write_video

    cameras = sorted(recording.cameras)
    if camera is None and len(cameras) != 1:
        raise InvalidInput(f"Say which --camera: {', '.join(cameras) or 'this recording has none'}.")
    start_ns, end_ns = _stretch(recording, start, end)
    count = write_video(recording, camera or cameras[0], out, fps=fps, start_ns=start_ns, end_ns=end_ns)
    return f"{count} frames"


def _mcap(recording: Recording, out: Path, topics: list[str], start: int, end: int) -> str:
    from lerobot_arena.recording.slicing import Slice, Slicer

    chosen = frozenset(recording.topic(name) for name in topics) if topics else None
    with out.open("xb") as file:
        size = sum(file.write(part) for part in Slicer(recording, Slice(start, end, chosen)).parts())
    return f"{size} bytes"


def _stretch(recording: Recording, start: int, end: int) -> tuple[int, int]:
    if (start, end) == (0, ALL):
        return 0, 2**63
    found = windows(recording, start, end)
    if not found:
        raise InvalidInput(f"No cycle from {start} to {end} was recorded.")
    return found[0].after_ns + 1, found[-1].until_ns


def _new(path: Path) -> TextIO:
    return path.open("x", encoding="utf-8", newline="")


def to_dataset(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Recordings, each an MCAP file or a folder; last the new dataset's folder."),
    ],
    policy: Annotated[
        str,
        typer.Option(help="Whose cameras, joints, unit and rate: a folder or `demo`; else the one that ran."),
    ] = "",
    robot: Annotated[str, typer.Option(help="A shipped robot, or a robot file; else the recorded one.")] = "",
    task: Annotated[str, typer.Option(help="The task's text; else the session's.")] = "",
    repo_id: Annotated[str, typer.Option(help="LeRobot's name of the dataset.")] = "local/recordings",
    videos: Annotated[bool, typer.Option("--videos", help="Pictures as video, smaller and lossy.")] = False,
    successful: Annotated[
        bool, typer.Option("--successful", help="Only runs that the task's referee called a success.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn recordings into a LeRobotDataset v3. Each run of the arm is an episode; frames are what the policy saw.

    Needs LeRobot, and a recorder that keeps all pictures (images: all).
    """
    from lerobot_arena.recording.to_dataset import write_dataset
    from lerobot_arena.recording.view import view_of

    if len(paths) < 2:
        raise InvalidInput("Name at least one recording, and the new dataset's folder.")
    *recorded, out = paths
    opened: list[Recording] = []
    try:
        for path in recorded:
            opened.append(open_recording(path))
        views = [(recording, view_of(recording, policy=policy, robot=robot)) for recording in opened]
        written = write_dataset(
            views, out, repo_id=repo_id, task=task, use_videos=videos, only_successful=successful,
            on_episode=lambda so_far: ERR.print(f"{so_far.episodes} episodes, {so_far.frames} frames", end="\r"),
        )  # fmt: skip
    finally:
        for recording in opened:
            recording.close()
    if as_json:
        print_json(
            {
                "episodes": written.episodes,
                "frames": written.frames,
                "left_out": written.left_out,
                "misses": dict(written.misses),
            }
        )
        return
    print_line(f"Written to {out}: {written.episodes} episodes, {written.frames} frames.")
    for reason, count in written.misses.most_common(5):
        print_line(f"  {count} instants left out: {reason}")
