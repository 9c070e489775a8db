# SPDX-License-Identifier: Apache-2.0
"""Limits of one step as free functions on plain floats: cheaper than arrays at the 6 to 14 joints of an arm.

Each takes the previous command and the wanted one, and returns the wanted one unchanged, the same object, when it may
pass. All of them only shorten the step of each joint, and never turn it round, so that applying them in any order
keeps what the others enforced, and applying them twice changes nothing.
"""

from collections.abc import Sequence
from math import inf, sqrt

Vector = tuple[float, ...]
_ALMOST_ONE = 1.0 - 1e-9


def braking_speed(room: float, max_acceleration: float, dt_s: float) -> float:
    """Highest speed for the next step from which a joint can still stop within `room` at its acceleration limit.

    Solves v·dt + (v² / 2a - v·dt / 2) = room: this step, and the steps of a stop that loses a·dt in each.
    """
    return max_acceleration * (sqrt(dt_s * dt_s / 4.0 + 2.0 * room / max_acceleration) - dt_s / 2.0)


def _one_inside(
    previous: float,
    wanted: float,
    lower: float,
    upper: float,
    max_velocity: float,
    max_acceleration: float,
    dt_s: float,
) -> float:
    # A joint that is outside may stay or move inward: the bound it may not pass is where it is.
    low, high = min(lower, previous), max(upper, previous)
    target = min(max(wanted, low), high)
    room = high - previous if target > previous else previous - low
    speed = braking_speed(room, max_acceleration, dt_s)
    # Far from its end a joint can stop from any speed it may have: leave the step's direction alone.
    if speed >= max_velocity or speed * dt_s >= min(room, abs(target - previous)):
        return target
    return previous + speed * dt_s if target > previous else previous - speed * dt_s


def stay_inside(
    previous: Vector,
    wanted: Vector,
    *,
    lower: Vector,
    upper: Vector,
    max_velocity: Vector,
    max_acceleration: Vector,
    dt_s: float,
) -> Vector:
    """Clamp the joints that would leave their range, or come to its end too fast to stop there; only those."""
    times = [dt_s] * len(previous)
    limited = tuple(map(_one_inside, previous, wanted, lower, upper, max_velocity, max_acceleration, times))
    return wanted if limited == wanted else limited


def velocity_factor(previous: Vector, wanted: Vector, *, max_velocity: Vector, dt_s: float) -> float:
    """The share of the whole step that keeps every joint at or below its velocity; 1 when all of it does."""
    factor = 1.0
    for start, end, limit in zip(previous, wanted, max_velocity):
        step = abs(end - start)
        if step > limit * dt_s:
            factor = min(factor, limit * dt_s / step)
    return 1.0 if factor >= _ALMOST_ONE else factor


def scale_step(previous: Vector, wanted: Vector, factor: float) -> Vector:
    """Go `factor` of the way from `previous` to `wanted`, all joints alike."""
    return tuple(start + factor * (end - start) for start, end in zip(previous, wanted))


def _mixing_factor(velocity: Sequence[float], wanted: Sequence[float], most: Sequence[float]) -> float:
    """The share of the way from the previous velocity to the wanted one that no joint's acceleration forbids."""
    factor = 1.0
    for now, then, change in zip(velocity, wanted, most):
        if now * then > 0.0:
            gain = abs(then) - abs(now)
            allowed = change / gain if gain > change else inf
        else:
            # Braking to rest is free; what the acceleration then still allows goes the other way.
            turn = abs(now) + abs(then)
            allowed = max(abs(now), change) / turn if turn > 0.0 else inf
        factor = min(factor, allowed)
    return 1.0 if factor >= _ALMOST_ONE else factor


def approach_velocity(
    previous: Vector, wanted: Vector, *, previous_velocity: Vector, max_acceleration: Vector, dt_s: float
) -> Vector:
    """Move from the previous velocity towards the wanted one by one common factor; braking is always allowed.

    A joint that only has to slow down does so at once, and one that turns round is at rest at least, whatever the
    common factor is: no other joint's limit may keep it moving.
    """
    velocity = [(end - start) / dt_s for start, end in zip(previous, wanted)]
    most = [limit * dt_s for limit in max_acceleration]
    factor = _mixing_factor(previous_velocity, velocity, most)
    if factor == 1.0:
        return wanted
    limited = []
    for start, end, now, then in zip(previous, wanted, previous_velocity, velocity):
        if now * then > 0.0 and abs(then) <= abs(now):
            limited.append(end)
            continue
        mixed = now + factor * (then - now)
        limited.append(start + mixed * dt_s if mixed * then > 0.0 else start)
    return tuple(limited)
