# SPDX-License-Identifier: Apache-2.0
"""The leaderboard: does it find known strengths, do its intervals mean 95 %, and how long does a table take.

    python bench/arena.py [--rounds 200]

Floor of the recompute time: one fit without intervals, in the same run. What the server does for each new table is
timed as well: all votes out of a database file, what counts of them, the fit and its intervals.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from lerobot_arena.core.clock import SystemClock
from lerobot_arena.platform.arena.leaderboard import Leaderboard
from lerobot_arena.platform.arena.matchup import BROWSER, MEMBER, READY, SIDES, STRANGER
from lerobot_arena.platform.arena.ratings import BOOTSTRAPS, CENTRE, LEFT, POINTS, RIGHT, Vote, rate
from lerobot_arena.platform.arena.store import ArenaStore, MatchupRow, VoteRow
from lerobot_arena.platform.storage.database import open_engine

POLICIES, VOTERS = 8, 1000


def simulated(seed: int, voters: int, votes_each: int = 1) -> tuple[list[float], list[Vote]]:
    """True ratings of POLICIES policies, and what voters say who prefer the better one as Bradley–Terry has it."""
    random = np.random.default_rng(seed)
    strengths = random.normal(0.0, 1.0, POLICIES)
    strengths -= strengths.mean()
    votes = []
    for voter in range(voters):
        for _ in range(votes_each):
            a, b = random.choice(POLICIES, 2, replace=False)
            a_wins = random.random() < 1.0 / (1.0 + math.exp(strengths[b] - strengths[a]))
            votes.append(Vote(f"p{a}", f"p{b}", LEFT if a_wins else RIGHT, str(voter)))
    return [CENTRE + POINTS * float(strength) for strength in strengths], votes


def coverage(rounds: int) -> None:
    hits, orders, pairs = 0, 0, 0
    for seed in range(rounds):
        truth, votes = simulated(seed, VOTERS)
        rows = {int(row.policy[1:]): row for row in rate(votes, seed=seed).rows}
        hits += sum((row.low or 0) <= truth[number] <= (row.high or 0) for number, row in rows.items())
        for a in range(POLICIES):
            for b in range(a):
                pairs += 1
                orders += (truth[a] > truth[b]) == (rows[a].rating > rows[b].rating)
    share = hits / (rounds * POLICIES)
    print(f"{rounds} tables of {VOTERS} voters and {POLICIES} policies:")
    print(f"  95 % intervals hold the true rating in {100 * share:.1f} % (goal 93 to 97)")
    print(f"  {100 * orders / pairs:.1f} % of all pairs in the true order")


def recompute() -> None:
    _, votes = simulated(0, 20_000, 5)
    begin = time.perf_counter()
    rate(votes, bootstraps=0)
    floor_s = time.perf_counter() - begin
    begin = time.perf_counter()
    rate(votes)
    whole_s = time.perf_counter() - begin
    print(
        f"{len(votes)} votes of 20000 voters, {BOOTSTRAPS} resamples: {whole_s:.2f} s (one fit: {floor_s:.2f} s)"
    )


def stored(folder: Path, votes: list[Vote]) -> ArenaStore:
    """Each vote on a matchup of its own, half of the voters with an account, over a year."""
    engine = open_engine(f"sqlite:///{folder / 'arena.db'}")
    texts = ("error", "ready", *(f"{side}_{name}" for side in SIDES for name in ("simulation", "recording")))
    plain = dict.fromkeys(texts, "") | dict.fromkeys(("robot", "scene"), "lab/place")
    hashes = dict.fromkeys(("robot_content", "scene_content", "left_content", "right_content"), "c" * 64)
    matchups, rows = [], []
    for number, vote in enumerate(votes):
        at, named, is_user = 315.0 * number, f"{number:040}", int(vote.voter) % 2
        matchup = {"id": named, "created_at": at, "state": READY, "kind": BROWSER, "unlock_at": at}
        sides = {"left_policy": vote.left, "right_policy": vote.right, "left_title": "", "right_title": ""}
        matchups.append({**plain, **hashes, **matchup, **sides})
        voter, network = f"{vote.voter:>032}", "" if is_user else f"{vote.voter:>032}"
        kind = MEMBER if is_user else STRANGER
        row = {"matchup_id": named, "voter": voter, "voter_kind": kind, "winner": vote.winner}
        rows.append({**row, "at": at, "evidence": "", "network": network})
    with engine.begin() as db:
        db.execute(insert(MatchupRow), matchups)
        db.execute(insert(VoteRow), rows)
    return ArenaStore(engine)


def from_database() -> None:
    with tempfile.TemporaryDirectory(prefix="bench_arena_") as folder:
        store = stored(Path(folder), simulated(0, 20_000, 5)[1])
        board = Leaderboard(store, list, SystemClock())
        begin = time.perf_counter()
        rows = board.refresh().standings.rows
        whole_s = time.perf_counter() - begin
        counted = sum(row.counted_votes for row in rows) // 2
        begin = time.perf_counter()
        told = sum(1 for _ in store.trials(SystemClock().wall_ns() / 1e9))
        download_s = time.perf_counter() - begin
    print(f"from a database of {told} votes, of which {counted} count: a table in {whole_s:.2f} s, ", end="")
    print(f"all of them for a download in {download_s:.2f} s, a page at a time")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    coverage(parser.parse_args().rounds)
    recompute()
    from_database()


if __name__ == "__main__":
    main()
