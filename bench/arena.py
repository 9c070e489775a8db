# SPDX-License-Identifier: Apache-2.0
"""The leaderboard: does it find known strengths, do its intervals mean 95 %, and how long does a table take.

    python bench/arena.py [--rounds 200]

Floor of the recompute time: one fit without intervals, in the same run.
"""

import argparse
import math
import time

import numpy as np

from lerobot_arena.platform.arena.ratings import BOOTSTRAPS, CENTRE, LEFT, POINTS, RIGHT, Vote, rate

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    coverage(parser.parse_args().rounds)
    recompute()


if __name__ == "__main__":
    main()
