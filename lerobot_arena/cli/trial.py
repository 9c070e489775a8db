# SPDX-License-Identifier: Apache-2.0
"""`arena trial`: two policies on one arm, blind, and a vote on what one saw."""

import sys
import time
from typing import Annotated, Any

import typer

from lerobot_arena.cli.output import ERR, print_json, print_line
from lerobot_arena.cli.session import AsJson, Url
from lerobot_arena.client.arena import Arena
from lerobot_arena.core.errors import Conflict, InvalidInput, NotAnswering

# All that counts as an answer: "both" alone begins two of them.
_ANSWERS = {
    "left": ("l", "left"),
    "right": ("r", "right"),
    "both_good": ("g", "good", "both good"),
    "both_bad": ("b", "bad", "both bad"),
}
_LOOK_S = 0.5
# Beside both runs: two policies are loaded, two scenes set up; and somebody may pause.
_LONGEST_WAIT_S = 420.0


def trial(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[POLICY POLICY]",
            help="As `arena session create --policy` takes them, such as catalog:owner/slug. Without them two of the "
            "catalog's checkpoints are drawn.",
        ),
    ] = None,
    arm: Annotated[str | None, typer.Option(help="The arm's namespace; without it: the only arm.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=300.0, help="How long each runs at most.")] = 20.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is drawn: pair and sides.")] = None,
    vote: Annotated[
        str | None,
        typer.Option(help="left, right, both_good or both_bad, without asking: for programs that judge."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run two policies on an arm one after the other, from the same scene and recorded, then ask which was better.

    The arm moves. Which policy was which is told after the vote. Ctrl-C leaves the trial alone; `arena stop` or
    `arena estop` ends it. Needs a login with the scope sessions:operate.
    Example: arena trial catalog:anna/act catalog:anna/diffusion --seconds 15
    """
    if policies and len(policies) != 2:
        raise InvalidInput(f"A trial compares two policies, not {len(policies)}.")
    if vote is not None and vote not in _ANSWERS:
        raise InvalidInput(f"--vote is one of {', '.join(_ANSWERS)}.")
    pair = (policies[0], policies[1]) if policies else None
    with Arena(url) as arena:
        matchup: Any = arena.matchups.trial(pair, arm=arm, seconds=seconds, seed=seed)
        ERR.print(f"Trial {matchup['id']}: the left policy runs, then the right one.", markup=False)
        matchup = _wait(arena, matchup["id"], 2 * seconds + _LONGEST_WAIT_S)
        winner = vote or (_asked() if sys.stdin.isatty() and not as_json else None)
        if winner is not None:
            matchup = arena.matchups.vote(matchup["id"], winner)  # type: ignore[arg-type]  # checked above
    if as_json:
        print_json(matchup)
    elif winner is None:
        print_line(f"Both have run. Vote: POST /api/arena/vote with matchupId {matchup['id']}.")
    else:
        for side in ("left", "right"):
            found = matchup[side]
            print_line(f"{side}: {found['policyRef']}, recorded in {found['recording']}")


def _wait(arena: Arena, matchup_id: str, timeout_s: float) -> Any:
    """Until both have run. Raises Conflict with the reason when that failed."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = arena.matchups.get(matchup_id)
        if found["status"] == "ready":
            return found
        if found["status"] == "failed":
            raise Conflict(f"The trial failed: {found['error']}")
        # A trial takes seconds to minutes, and its state is told to those who ask.
        time.sleep(_LOOK_S)
    raise NotAnswering(
        f"Trial {matchup_id} did not end within {timeout_s:g} s. `arena status` says what the arm does."
    )


def _asked() -> str:
    while True:
        answer = typer.prompt("Which was better? l(eft), r(ight), both g(ood), both b(ad)")
        said = " ".join(answer.lower().replace("_", " ").split())
        if (winner := next((name for name, words in _ANSWERS.items() if said in words), None)) is not None:
            return winner
        ERR.print("l, r, g or b.")
