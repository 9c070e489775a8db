# SPDX-License-Identifier: Apache-2.0
"""How much of a step may be taken when its end, or its way there, would break a rule of the arm's geometry.

The arm stays on the policy's path and stops short of the rule. Because every point up to the stop is allowed, a
shorter share of the same step is allowed too: limiters that only shorten steps never contradict each other.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from itertools import accumulate
from math import ceil
from types import MappingProxyType

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import PASSED, Check, CheckInput, Finding
from lerobot_arena.guard.limiter import Vector, scale_step

# What is broken at a joint vector → by how much, above 0. Nothing in it: all is well there.
Violations = Mapping[str, float]
Rule = Callable[[Vector], Violations]
NOTHING: Violations = MappingProxyType({})

# Points looked at on a step: one per so many radians of its fastest joint, about a centimetre at arm's length.
_SPACING_RAD = 0.03
_MOST_POINTS = 32
_HALVINGS = 6
# So that sums over different numbers of pairs compare. More pairs than these are never let deeper.
_MOST_PAIRS = 64


def overall(depths: Mapping[str, float]) -> Violations:
    """Of parts that overlap, the deepest, the two deepest together and so on: what an arm folded too far has to lessen.

    Each on its own would be too much to ask: on the way out one pair may come a little nearer while the others part.
    The sum of all alone would let a wider margin pass what a narrower one refuses, by counting more pairs that part.
    When no sum of the k deepest grows under one margin, none grows under a narrower one (weak majorization: Marshall,
    Olkin and Arnold, Inequalities, 4.B).
    """
    if not depths:
        return NOTHING
    deepest = sorted(depths.values(), reverse=True)
    sums = accumulate(deepest + [0.0] * (_MOST_PAIRS - len(deepest)))
    return {f"{count} deepest": total for count, total in enumerate(sums, 1)}


def _is_worse(there: Violations, allowed: Violations) -> bool:
    # Written so that NaN, which compares false with everything, is worse.
    return any(not amount <= allowed.get(what, 0.0) for what, amount in there.items())


def longest_share(start: Vector, end: Vector, rule: Rule) -> tuple[float, Vector]:
    """The share of the way from `start` to `end`, 0 to 1, up to which `rule` is kept, and where it is broken beyond.

    What is broken at the start already may stay so, but nowhere by more: the way back inside is always free.
    """
    longest = max((abs(b - a) for a, b in zip(start, end)), default=0.0)
    count = min(max(ceil(longest / _SPACING_RAD), 1), _MOST_POINTS)
    allowed: Violations | None = None
    for index in range(1, count + 1):
        there = rule(end if index == count else scale_step(start, end, index / count))
        if there:
            allowed = rule(start) if allowed is None else allowed
            if _is_worse(there, allowed):
                return _bisect(start, end, rule, allowed=allowed, good=(index - 1) / count, bad=index / count)
    return 1.0, end


def _bisect(
    start: Vector, end: Vector, rule: Rule, *, allowed: Violations, good: float, bad: float
) -> tuple[float, Vector]:
    for _ in range(_HALVINGS):
        middle = (good + bad) / 2
        if _is_worse(rule(scale_step(start, end, middle)), allowed):
            bad = middle
        else:
            good = middle
    # Not scaled by 1: rounding could end short of what was found broken.
    return good, end if bad == 1.0 else scale_step(start, end, bad)


def shortened(start: Vector, end: Vector, share: float, rule: Rule, moves: tuple[bool, ...]) -> Vector:
    """`end` after only `share` of the step, such that looking at it again finds nothing to shorten.

    Joints that do not move the tool (the gripper) go all their way where that breaks nothing: an arm that waits at a
    border may still close its jaws.
    """
    for factor in (share, share / 2, share / 4):
        arm = scale_step(start, end, factor)
        if not all(moves):
            free = tuple(a if moving else b for a, b, moving in zip(arm, end, moves))
            if longest_share(start, free, rule)[0] == 1.0:
                return free
        if longest_share(start, arm, rule)[0] == 1.0:
            return arm
    return start


class PathCheck(Check):
    """A LIMIT check that takes the longest share of a step which keeps its rule."""

    @abstractmethod
    def violations(self, joints_rad: Vector) -> Violations:
        """What of the rule is broken there, and by how much."""

    @abstractmethod
    def reason(self, joints_rad: Vector) -> str:
        """What a step that goes on to there breaks, for a person."""

    def examine(self, given: CheckInput) -> Finding:
        start, end = given.previous_command, given.action
        share, beyond = longest_share(start, end, self.violations)
        if share == 1.0:
            return PASSED
        action = shortened(start, end, share, self.violations, self.geometry.moves_tool)
        return Finding(
            Decision.CLAMP, f"{self.reason(beyond)} The step was shortened to {share:.0%}.", action
        )
