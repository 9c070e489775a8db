# SPDX-License-Identifier: Apache-2.0
"""`arena catalog …`: what is published at a bridge."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from lerobot_arena.cli.client import ask
from lerobot_arena.cli.group import ArenaGroup
from lerobot_arena.cli.output import print_fields, print_json, print_line, print_table
from lerobot_arena.cli.session import AsJson, Url
from lerobot_arena.core.errors import InvalidInput

app = typer.Typer(
    cls=ArenaGroup,
    no_args_is_help=True,
    help="What is published: policies, robots, scenes, checkpoints. `arena publish` adds to it.",
    epilog="Example: arena catalog list policies, then arena catalog show policies chasebrignac/pony-trot",
)


class Kinds(StrEnum):
    """As the paths of the API have them."""

    policies = "policies"
    robots = "robots"
    scenes = "scenes"
    checkpoints = "checkpoints"


KindsArgument = Annotated[Kinds, typer.Argument(help="Which kind.")]
Ref = Annotated[str, typer.Argument(metavar="OWNER/SLUG", help="Which one.")]


@app.command("list")
def list_items(
    kinds: Annotated[Kinds | None, typer.Argument(help="Which kind; without it, all.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    search: Annotated[str | None, typer.Option(help="Words to look for.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many of each kind.")] = 100,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Newest versions, last updated first."""
    wanted = [kinds] if kinds is not None else list(Kinds)
    found: list[Any] = ask(
        url,
        lambda arena: [
            item
            for kind in wanted
            for item in arena.catalog.list(kind.value, owner=owner, q=search, limit=limit)
        ],
    )
    if as_json:
        print_json(found)
        return
    rows = [
        [item["kind"], item["ref"], str(item["version"]), item["title"], item["updatedAt"][:10]]
        for item in found
    ]
    print_table(["kind", "ref", "version", "title", "updated"], rows)


@app.command()
def show(
    kinds: KindsArgument,
    ref: Ref,
    version: Annotated[int | None, typer.Option(min=1, help="Without it, the newest.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="All of them, newest first.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """One item, with all that is known of it."""
    if versions and version is not None:
        raise InvalidInput("Ask for --version N or for --versions.")
    found: Any = ask(
        url,
        lambda arena: (
            arena.catalog.versions(kinds.value, ref)
            if versions
            else arena.catalog.get(kinds.value, ref, version=version)
        ),
    )
    if as_json:
        print_json(found)
    elif versions:
        rows = [[str(item["version"]), item["title"], item["updatedAt"]] for item in found]
        print_table(["version", "title", "updated"], rows)
    else:
        print_fields(found)


@app.command()
def delete(kinds: KindsArgument, ref: Ref, url: Url = None) -> None:
    """Delete what is yours, with all its versions; refused while something needs it."""
    ask(url, lambda arena: arena.catalog.delete(kinds.value, ref))
    print_line(f"{ref} is no longer published.")
