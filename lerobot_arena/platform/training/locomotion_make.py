# SPDX-License-Identifier: Apache-2.0
"""From a recipe to numbers: the gait's weights, by search or as they are, and a network beside it, by PPO."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.training.locomotion_g1 import widened
from lerobot_arena.platform.training.locomotion_gait import weave
from lerobot_arena.platform.training.locomotion_mirror import mirror
from lerobot_arena.platform.training.locomotion_ppo import Layer, Trainer
from lerobot_arena.platform.training.locomotion_recipes import PARKOUR, Recipe
from lerobot_arena.platform.training.locomotion_scene import Block, ground_m, parkour
from lerobot_arena.platform.training.locomotion_search import search
from lerobot_arena.platform.training.locomotion_task import Task, command_ranges, variants
from lerobot_arena.platform.training.locomotion_worlds import Worlds, equip

Report = Callable[[str], None]
# Every robot of a search walks under each of these: what keys ask for, as shares of the ranges.
SEARCHED = ((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (0.6, 0.0, 0.0))
# As a learner sees the world: half of the robots start on the course, half on the plain.
ON_COURSE = 0.5


@dataclass(frozen=True, slots=True)
class Made:
    """The gait's weights [features, joints] in raw actions, the network's layers, and what training tells of itself."""

    weights: FloatArray
    layers: tuple[Layer, ...]
    facts: dict[str, Any]


def make(recipe: Recipe, *, seed: int = 0, threads: int = 1, report: Report = lambda text: None) -> Made:
    """Follow a recipe; the same seed and machine give the same policy, `threads` are MuJoCo's."""
    return (_learnt if recipe.ppo else _searched)(recipe, seed, threads, report)


def weights_of(recipe: Recipe, values: FloatArray) -> FloatArray:
    """Return the gait's weights for numbers in the order of the recipe."""
    spec = recipe.spec(recipe.period)
    wires = recipe.wires(
        recipe.gait, recipe.period, dict(zip(recipe.numbers, map(float, values), strict=True))
    )
    return weave(recipe.gait, spec.joint_names, wires) / np.array(spec.action_scale)


def start_of(recipe: Recipe) -> FloatArray:
    """Return the numbers that a recipe starts from."""
    return np.array([number.start for number in recipe.numbers.values()])


def _learnt(recipe: Recipe, seed: int, threads: int, report: Report) -> Made:
    assert recipe.ppo is not None and recipe.entry is not None
    spec = recipe.spec(recipe.period)
    model, part = recipe.build(recipe.entry, spec, [recipe.course])
    worlds = Worlds(variants(model, recipe.copies, seed=seed), part, recipe.robots, threads=threads)
    place = _placing(parkour()) if recipe.course == PARKOUR else None
    task = Task(worlds, recipe.task, seed=seed, place=place)
    weights = weights_of(recipe, start_of(recipe))[:, : len(part.joint_names)]
    seen_in = mirror(part, shifted=True) if recipe.mirrored else None
    trainer = Trainer(task, recipe.gait, weights, replace(recipe.ppo, seed=seed), mirror=seen_in)

    def tell(update: int, figures: tuple[float, float]) -> None:
        if update % 10 == 0:
            report(f"update {update}: reward {figures[0]:.3f}, {figures[1]:.3f} falls per second")

    learnt = trainer.train(tell)
    worlds.close()
    periods = recipe.robots * recipe.ppo.steps * recipe.ppo.updates
    facts = {"method": "PPO", "control_periods": periods, "reward": round(learnt.curve[-1][0], 3)}
    return Made(*widened(weights, learnt.layers, part, spec), facts)


def _placing(blocks: tuple[Block, ...]) -> Callable[[int, np.random.Generator], FloatArray]:
    """Return how robots are put on the course or beside it, each on the highest ground under it."""

    def place(count: int, rng: np.random.Generator) -> FloatArray:
        on = rng.random(count) < ON_COURSE
        x = np.where(on, rng.uniform(1.0, 9.0, count), rng.uniform(-8.0, 1.0, count))
        y = np.where(on, rng.uniform(-0.8, 0.8, count), rng.uniform(-8.0, 8.0, count))
        z = [ground_m(blocks, float(at_x), float(at_y), 0.25) for at_x, at_y in zip(x, y, strict=True)]
        return np.stack([x, y, np.minimum(z, 0.2)], axis=1)

    return place


def _searched(recipe: Recipe, seed: int, threads: int, report: Report) -> Made:
    spec = recipe.spec(recipe.period)
    low, high = command_ranges(spec)
    shares = np.array(SEARCHED)
    commands = np.where(shares > 0, shares * high, -shares * low)
    assert recipe.entry is not None
    worlds = Worlds([equip(recipe.entry, spec)], spec, recipe.crowd * len(commands), threads=threads)
    worlds.commands = np.tile(commands, (recipe.crowd, 1))
    generation = 0

    def score(crowd: FloatArray) -> FloatArray:
        nonlocal generation
        generation += 1
        weights = np.repeat(np.stack([weights_of(recipe, values) for values in crowd]), len(commands), axis=0)
        rng = np.random.default_rng((seed, generation))
        return _walk(worlds, recipe, weights, rng).reshape(recipe.crowd, -1).mean(axis=1)

    spread = np.array([number.spread for number in recipe.numbers.values()])
    found = search(
        score, start_of(recipe), spread, generations=recipe.generations, seed=seed, crowd=recipe.crowd,
        report=lambda index, best, mean, _: report(f"generation {index}: best {best:.3f}, mean {mean:.3f}"),
    )  # fmt: skip
    worlds.close()
    numbers = {name: round(float(value), 4) for name, value in zip(recipe.numbers, found.values, strict=True)}
    facts = {"method": "CMA-ES", "generations": recipe.generations, "numbers": numbers}
    return Made(weights_of(recipe, found.values), (), facts)


def _walk(worlds: Worlds, recipe: Recipe, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return how well each robot did: the share of the commanded speed, less bobbing, until it falls."""
    worlds.reset(np.ones(worlds.count, bool), rng=rng, noise=0.5)
    alive, earned = np.ones(worlds.count, bool), np.zeros(worlds.count)
    ticks = round(recipe.search_s / worlds.spec.control_dt)
    asked, travelled, turned = worlds.commands, np.zeros(worlds.count), np.zeros(worlds.count)
    for _ in range(ticks):
        features = recipe.gait.features(worlds.spec, worlds.observe())
        worlds.step(np.einsum("nf,nfj->nj", features, weights))
        alive &= ~worlds.fell()
        velocity, spin = worlds.body_velocity(), worlds.velocity[:, 3:]
        travelled += alive * velocity[:, 0] * worlds.spec.control_dt
        turned += alive * spin[:, 2] * worlds.spec.control_dt
        wobble = 0.1 * np.abs(spin[:, :2]).sum(axis=1) + np.abs(velocity[:, 1])
        earned += alive * (1 - wobble) / ticks
    speed_off = np.abs(travelled / recipe.search_s - asked[:, 0])
    turn_off = np.abs(turned / recipe.search_s - asked[:, 2])
    return np.nan_to_num(earned - 4 * speed_off - 1.5 * turn_off, nan=-10.0)
