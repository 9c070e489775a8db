# SPDX-License-Identifier: Apache-2.0
"""Blind comparisons and what follows from them: matchups, votes, the leaderboard."""

from typing import Any, Literal

from lerobot_arena.client import answers
from lerobot_arena.client.address import segment
from lerobot_arena.client.call import READ_TIMEOUT_S, VERB_TIMEOUT_S, Answer, Call, as_object, get, inside
from lerobot_arena.client.endpoint import Group, endpoint


def launch() -> Call[answers.Matchup]:
    """A blind matchup of two policies that run in browsers."""
    return _matchup("POST", "/api/arena/launch")


def get_matchup(matchup_id: str) -> Call[answers.Matchup]:
    """How far it is; names only after one's vote."""
    return _matchup("GET", f"/api/arena/matchup/{segment(matchup_id)}")


def control_matchup(matchup_id: str, side: Literal["left", "right"], action: str) -> Call[dict[str, Any]]:
    """The message to post into a pane, under `payload`."""
    body = {"matchupId": matchup_id, "side": side, "action": action}
    return Call("POST", "/api/arena/control", _payload, body=body)


def vote(matchup_id: str, winner: Literal["left", "right", "both_good", "both_bad"]) -> Call[answers.Matchup]:
    """One vote of each voter; the answer names both policies."""
    return _matchup("POST", "/api/arena/vote", {"matchupId": matchup_id, "winner": winner})


def begin_trial(
    policies: tuple[str, str] | None = None,
    *,
    arm: str | None = None,
    seconds: float = 20.0,
    seed: int | None = None,
) -> Call[answers.Matchup]:
    """Run two policies on an arm, which moves, one after the other; without names two of the catalog's checkpoints.

    Needs an account with the scope sessions:operate.
    """
    given = {
        "policies": list(policies) if policies is not None else None,
        "arm": arm,
        "seconds": seconds,
        "seed": seed,
    }
    return _matchup(
        "POST", "/api/arena/trials", {name: value for name, value in given.items() if value is not None}
    )


def _matchup(method: str, path: str, body: Any = None) -> Call[answers.Matchup]:
    return Call(method, path, inside("matchup"), body=body, timeout_s=VERB_TIMEOUT_S)


def _payload(answer: Answer) -> dict[str, Any]:
    (dispatch,) = inside("dispatches")(answer)
    return dict(dispatch)


class Matchups[Via](Group[Via]):
    """Blind comparisons, in browsers and on an arm."""

    launch = endpoint(launch)
    get = endpoint(get_matchup)
    control = endpoint(control_matchup)
    vote = endpoint(vote)
    trial = endpoint(begin_trial)


def leaderboard() -> Call[answers.Leaderboard]:
    """Ratings with 95 % intervals, best first."""
    return get("/v1/leaderboard", as_object)


def wins() -> Call[dict[str, dict[str, float]]]:
    """`[a][b]`: votes that preferred a to b; a tie is half a vote for each."""
    return get("/v1/leaderboard/wins", as_object)


def download_trials() -> Call[None]:
    """The path of the votes; their bytes go to a file (client/saving.py)."""
    return Call("GET", "/v1/leaderboard/trials", lambda answer: None, timeout_s=6 * READ_TIMEOUT_S)


class LeaderboardCalls[Via](Group[Via]):
    """What all votes say."""

    get = endpoint(leaderboard)
    wins = endpoint(wins)
