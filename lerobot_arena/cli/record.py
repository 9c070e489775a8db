# SPDX-License-Identifier: Apache-2.0
"""`arena record …`: recording on and off."""

from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_json, print_line
from lerobot_arena.cli.session import AsJson, Url

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Recording: everything of an arm into MCAP files that rosbag2 and Foxglove open too. "
    "`arena bag` reads them.",
    epilog="Example: arena record start, run a task, arena record stop; or `arena up --record`",
)
Arm = Annotated[str | None, typer.Option("--arm", help="The arm's namespace; without it: the only arm.")]


@app.command()
def start(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Begin a recording."""
    _tell("start", "Recording {session_id}.", arm, url, as_json=as_json)


@app.command()
def stop(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """End the recording; its files get their index."""
    _tell("stop", "Recording {session_id} ended.", arm, url, as_json=as_json)


@app.command()
def split(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Go on in a new file; nothing is lost between the two."""
    _tell("split", "Recording into {filename} now.", arm, url, as_json=as_json)


@app.command()
def snapshot(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """Keep the pictures around now, as after a violation."""
    _tell("snapshot", "The pictures around now are kept in {filename}.", arm, url, as_json=as_json)


@app.command()
def status(arm: Arm = None, url: Url = None, as_json: AsJson = False) -> None:
    """What the recorder does, and what went wrong."""
    answer = ask(url, lambda arena: arena.recorder.status(arm))
    if as_json:
        print_json(answer)
        return
    for line in status_lines(answer):
        print_line(line)


def status_lines(answer: dict[str, Any]) -> list[str]:
    """A recorder's status for a person."""
    lines = [
        f"arm {answer['arm']}: {answer['state']}" + (f". {answer['message']}" if answer["message"] else "")
    ]
    if answer["session_id"]:
        lines.append(
            f"  {answer['folder']}, file {answer['file_count']}: {answer['messages']} messages, "
            f"{answer['total_cycles']} cycles, {answer['violation_cycles']} violations, "
            f"{answer['clamp_cycles']} clamps; pictures: {answer['images']}"
        )
    lines += [f"  dropped {count} of {topic}" for topic, count in answer["dropped"].items()]
    lines += [f"  not recorded: {topic}. {reason}" for topic, reason in answer["skipped"].items()]
    return lines + [f"  {event['text']}" for event in answer["events"][-5:] if event["level"]]


def _tell(verb: str, text: str, arm: str | None, url: str | None, *, as_json: bool) -> None:
    answer = ask(url, lambda arena: getattr(arena.recorder, verb)(arm))
    if as_json:
        print_json(answer)
    else:
        print_line(text.format(**answer))
