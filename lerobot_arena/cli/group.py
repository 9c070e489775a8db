# SPDX-License-Identifier: Apache-2.0
"""Errors a person can act on become a line on stderr and an exit code: 1 refused, 2 wrong usage or configuration."""

from typing import Any

import typer
from typer.core import TyperGroup

from lerobot_arena.cli.output import print_error
from lerobot_arena.core.errors import ArenaError, InvalidInput, PolicyError

REFUSED, USAGE = 1, 2


def exit_code(error: ArenaError) -> int:
    """What the shell is told."""
    return USAGE if isinstance(error, InvalidInput | PolicyError) else REFUSED


class ArenaGroup(TyperGroup):
    """A group of commands in which an ArenaError ends the command, not Python."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ArenaError as error:
            print_error(str(error))
            raise typer.Exit(exit_code(error)) from error
