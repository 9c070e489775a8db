# SPDX-License-Identifier: Apache-2.0
"""What a robot is asked to do while it learns, and how well it did: commands, pushes, rewards, ends of episodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_gait import WISH
from lerobot_arena.platform.training.locomotion_worlds import Mask, Worlds, gravity

# (vx, vy, wz) as a share of the command's range: what keys ask for.
KEYS = ((0, 0, 0), (0, 0, 0), (1, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (1, 0, 1), (1, 0, -1))


@dataclass(frozen=True, slots=True)
class Rewards:
    """Weights of what a control period earns or costs; speeds in m/s, angles in rad, raw actions."""

    follow: float = 1.5
    follow_width: float = 0.1
    turn: float = 0.8
    turn_width: float = 0.15
    alive: float = 0.3
    bounce: float = 1.0
    roll: float = 0.05
    tilt: float = 1.5
    change: float = 0.02
    effort: float = 0.002
    pose: float = 0.05
    stand: float = 0.4
    fall: float = 5.0
    along: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskRules:
    """Times in seconds; a `push_m_s` is added to the base's velocity in a random direction now and then."""

    rewards: Rewards = Rewards()
    episode_s: float = 20.0
    command_s: float = 4.0
    push_s: float = 5.0
    push_m_s: float = 0.4


Place = Callable[[int, np.random.Generator], FloatArray]


class Task:
    """Robots in `worlds` that follow changing commands; those that end start anew at once."""

    def __init__(self, worlds: Worlds, rules: TaskRules, *, seed: int, place: Place | None = None) -> None:
        self.worlds = worlds
        self._rules = rules
        self._rng = np.random.default_rng(seed)
        self._place = place
        self._low, self._high = command_ranges(worlds.spec)
        everyone = np.ones(worlds.count, bool)
        self._age_s = self._rng.uniform(0, rules.episode_s, worlds.count)
        self._before = np.zeros_like(worlds.last)
        self._start(everyone)
        self._command(everyone)

    def privileged(self, obs: FloatArray) -> FloatArray:
        """Return the observation and what only the simulator knows: velocity, and the height of the base."""
        worlds = self.worlds
        return np.concatenate([obs, worlds.body_velocity(), worlds.base[:, 2:]], axis=1).astype(np.float32)

    def step(self, raw: FloatArray) -> tuple[FloatArray, Mask, Mask]:
        """Step all; returns reward, fell and out of time, each [count], of the state *before* any new start."""
        worlds, rules = self.worlds, self._rules
        self._before = worlds.last
        worlds.step(raw)
        self._age_s += worlds.spec.control_dt
        fell = worlds.fell()
        late = ~fell & (self._age_s > rules.episode_s)
        reward = np.nan_to_num(self._reward()) - rules.rewards.fall * fell
        return reward, fell, late

    def renew(self, ended: Mask) -> None:
        """Start those that ended anew; give commands and pushes whose time has come."""
        rules, dt = self._rules, self.worlds.spec.control_dt
        self._start(ended)
        self._command(ended | (self._rng.random(self.worlds.count) < dt / rules.command_s))
        pushed = np.flatnonzero(self._rng.random(self.worlds.count) < dt / rules.push_s)
        angle = self._rng.uniform(-np.pi, np.pi, len(pushed))
        size = self._rng.uniform(0, rules.push_m_s, len(pushed))
        self.worlds.velocity[pushed, 0] += size * np.cos(angle)
        self.worlds.velocity[pushed, 1] += size * np.sin(angle)

    def _start(self, which: Mask) -> None:
        worlds = self.worlds
        worlds.reset(which, rng=self._rng)
        ids = np.flatnonzero(which)
        if self._place is not None and len(ids):
            worlds.base[ids] += self._place(len(ids), self._rng)
        self._age_s[ids] = np.where(self._age_s[ids] > 1.0, 0.0, self._age_s[ids])
        self._before[ids] = 0

    def _command(self, which: Mask) -> None:
        ids = np.flatnonzero(which)
        free = self._rng.uniform(self._low, self._high, (len(ids), 3))
        free[:, 1] *= self._rng.random(len(ids)) < 0.5
        keys = np.array(KEYS)[self._rng.integers(len(KEYS), size=len(ids))]
        pressed = np.where(keys > 0, self._high, np.where(keys < 0, self._low, 0.0))
        self.worlds.commands[ids] = np.where(self._rng.random((len(ids), 1)) < 0.6, pressed, free)

    def _reward(self) -> FloatArray:
        worlds, weigh = self.worlds, self._rules.rewards
        velocity, spin = worlds.body_velocity(), worlds.velocity[:, 3:]
        asked = worlds.commands
        off = np.sum((velocity[:, :2] - asked[:, :2]) ** 2, axis=1)
        off_turn = (spin[:, 2] - asked[:, 2]) ** 2
        act = np.clip(np.abs(asked) @ np.array(WISH), 0, 1)
        # Linear where the bell of `follow` is flat: the first centimetres per second count as much as the last.
        along = np.sum(velocity[:, :2] * asked[:, :2], axis=1) / np.maximum(
            np.sum(asked[:, :2] ** 2, axis=1), 0.01
        )
        tilt = np.sum(gravity(worlds.quaternion)[:, :2] ** 2, axis=1)
        strain = (worlds.last * np.array(worlds.spec.action_scale) - worlds.joints) * np.array(
            worlds.spec.stiffness
        )
        return (
            weigh.follow * np.exp(-off / weigh.follow_width)
            + weigh.turn * np.exp(-off_turn / weigh.turn_width)
            + weigh.along * np.clip(along, -1, 1)
            + weigh.alive
            - weigh.bounce * velocity[:, 2] ** 2
            - weigh.roll * np.sum(spin[:, :2] ** 2, axis=1)
            - weigh.tilt * tilt
            - weigh.change * np.sum((worlds.last - self._before) ** 2, axis=1)
            - weigh.effort * np.mean(strain**2, axis=1)
            - weigh.pose * np.sum(worlds.joints**2, axis=1)
            - weigh.stand * (1 - act) * np.sum(worlds.joints**2 + 0.02 * worlds.joint_speeds**2, axis=1)
        )


def command_ranges(spec: ControlSpec) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest command (vx, vy, wz)."""
    ranges = np.array([spec.commands[name] for name in ("lin_vel_x", "lin_vel_y", "ang_vel_z")])
    return ranges[:, 0], ranges[:, 1]


def variants(model: Any, count: int, *, seed: int) -> Sequence[Any]:
    """Return copies of a model with other friction (0.6 to 1.25 of it), mass of the base (±15 %) and gains (±8 %)."""
    import copy

    rng = np.random.default_rng(seed)
    found = [model]
    while len(found) < count:
        other = copy.copy(model)
        other.geom_friction[:, 0] *= rng.uniform(0.6, 1.25)
        root = int(other.jnt_bodyid[0])
        heavier = rng.uniform(0.85, 1.15)
        other.body_mass[root] *= heavier
        other.body_inertia[root] *= heavier
        stiffer = rng.uniform(0.92, 1.08)
        other.actuator_gainprm[:, 0] *= stiffer
        other.actuator_biasprm[:, 1] *= stiffer
        found.append(other)
    return found
