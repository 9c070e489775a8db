# SPDX-License-Identifier: Apache-2.0
"""`arena bag …`: recordings that are there."""

from pathlib import Path
from typing import Annotated

import typer

from lerobot_arena.cli.bag_parts import export, info, to_dataset
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_line
from lerobot_arena.cli.session import AsJson
from lerobot_arena.core.errors import InvalidInput

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="Recordings: MCAP files, or folders of them. No bridge has to run.",
)
app.command()(info)
app.command()(export)
app.command("to-dataset")(to_dataset)


@app.command()
def repair(
    path: Annotated[Path, typer.Argument(help="An MCAP file, or a recording's folder.", exists=True)],
    check: Annotated[
        bool, typer.Option("--check", help="Check every chunk of files that look finished too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give files that a crash or power cut left unfinished their index; what is whole in them is kept.

    The original is replaced only after the repaired file has been read back. Any MCAP file, not only ours.
    """
    from lerobot_arena.cli.output import print_json
    from lerobot_arena.recording.names import session_files
    from lerobot_arena.recording.repair import repair_file, write_metadata

    files = sorted(path.glob("*.mcap")) if path.is_dir() else [path]
    if not files:
        raise InvalidInput(f"There is no .mcap file in {path}.")
    repairs = [repair_file(file, again=check) for file in files]
    # A foreign bag's metadata.yaml stays its owner's.
    if path.is_dir() and session_files(path) and not all(done.was_whole for done in repairs):
        write_metadata(path)
    for done in repairs:
        if not as_json:
            print_line(str(done))
    if as_json:
        fields = ("name", "was_whole", "messages", "lost_bytes", "damaged_chunks")
        print_json({"files": [{name: getattr(done, name) for name in fields} for done in repairs]})
