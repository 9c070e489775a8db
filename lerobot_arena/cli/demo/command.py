# SPDX-License-Identifier: Apache-2.0
"""The `arena demo` command."""

import asyncio
import os
import sys
import time
import webbrowser
from typing import Annotated

import typer

from lerobot_arena.bringup import DEFAULT_ARM, DEFAULT_PORT, BringupOptions
from lerobot_arena.cli import stack as stacks
from lerobot_arena.cli.demo.drive import DemoClient
from lerobot_arena.cli.demo.episodes import EpisodeLoop
from lerobot_arena.cli.demo.figures import figures
from lerobot_arena.cli.output import ERR, OUT, print_json, print_line
from lerobot_arena.cli.up import Port, Seed
from lerobot_arena.core.errors import ArenaError


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No browser.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="End after this long, counted from the first start.")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="End after this many episodes.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Last line on stdout: figures of the run; the log goes to stderr.")
    ] = False,
    port: Port = DEFAULT_PORT,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
    seed: Seed = None,
) -> None:
    """The simulated SO-101 picks and places with the demo policy, episode after episode, until Ctrl-C.

    It stops for you: while the e-stop is latched, or after you stopped the session, it waits until you start it again.
    """
    options = BringupOptions(port=port, seed=seed)
    run = _Run(seconds, episodes, opens_browser=not (headless or no_browser) and _has_display())
    code = stacks.run(options, run.work, console=ERR if as_json else OUT, dds_profile="local")
    if as_json:
        print_json(run.figures)
    else:
        print_line(
            "{successes} of {episodes} episodes in {seconds:.0f} s, {commands} commands.".format_map(
                run.figures
            )
        )
    raise typer.Exit(code)


def _has_display() -> bool:
    return sys.stdout.isatty() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class _Run:
    """One demo from the first start to the last figure."""

    def __init__(self, seconds: float | None, episodes: int | None, *, opens_browser: bool) -> None:
        self._seconds, self._episodes, self._opens_browser = seconds, episodes, opens_browser
        self.figures = figures(EpisodeLoop(), {}, seconds=0.0)

    async def work(self, stack: stacks.Stack) -> int:
        client = DemoClient(stack.url, DEFAULT_ARM, stack.log.say)
        started = time.monotonic()
        try:
            await stack.wait_for_bridge()
            if stack.ending.is_set():
                return 0
            await client.prepare()
            page = f"{stack.url}/ui"
            stack.log.say(f"page: {page} · Ctrl-C ends")
            if self._opens_browser:
                await asyncio.to_thread(webbrowser.open, page)
            started = time.monotonic()
            await self._play(client, stack)
            return 0
        except ArenaError as error:
            stack.log.say(str(error), level="ERROR")
            return 1
        finally:
            seconds = time.monotonic() - started
            await client.finish()
            self.figures = figures(client.loop, client.status, seconds=seconds)
            await client.close()

    async def _play(self, client: DemoClient, stack: stacks.Stack) -> None:
        """Until the episodes are done, the time is over, or somebody asked to end, whichever comes first."""
        playing = asyncio.create_task(client.run(self._is_done))
        ending = asyncio.create_task(stack.ending.wait())
        await asyncio.wait({playing, ending}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (playing, ending):
            task.cancel()
        for outcome in await asyncio.gather(playing, ending, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _is_done(self, loop: EpisodeLoop) -> bool:
        return self._episodes is not None and loop.episodes >= self._episodes
