# SPDX-License-Identifier: Apache-2.0
"""CMA-ES (Hansen, 2016, arXiv:1604.00772) without restarts, for some dozens of numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lerobot_arena.core.observation import FloatArray


@dataclass(frozen=True, slots=True)
class Found:
    """The mean of the last generation, and (best, mean) score of each."""

    values: FloatArray
    curve: list[tuple[float, float]] = field(default_factory=list)


def search(
    score: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    spread: FloatArray,
    *,
    generations: int,
    seed: int,
    crowd: int = 24,
    report: Callable[[int, float, float, FloatArray], None] = lambda generation, best, mean, values: None,
) -> Found:
    """Maximise `score` ([crowd, n] → [crowd]) from `start`, at first with standard deviations `spread`."""
    rng = np.random.default_rng(seed)
    size, parents = len(start), crowd // 2
    weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
    weights /= weights.sum()
    mass = 1 / np.sum(weights**2)
    c_path, c_size = (4 + mass / size) / (size + 4 + 2 * mass / size), (mass + 2) / (size + mass + 5)
    c_one = 2 / ((size + 1.3) ** 2 + mass)
    c_many = min(1 - c_one, 2 * (mass - 2 + 1 / mass) / ((size + 2) ** 2 + mass))
    damping = 1 + c_size + 2 * max(0.0, float(np.sqrt((mass - 1) / (size + 1))) - 1)
    expected = np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
    mean, sigma, covariance = np.zeros(size), 1.0, np.eye(size)
    path, size_path, curve = np.zeros(size), np.zeros(size), []
    for generation in range(generations):
        lengths, axes = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(lengths, 1e-12))
        steps = (rng.standard_normal((crowd, size)) * root) @ axes.T
        scores = score(start + spread * (mean + sigma * steps))
        order = np.argsort(-scores)[:parents]
        step = weights @ steps[order]
        mean = mean + sigma * step
        whitened = axes @ ((axes.T @ step) / root)
        size_path = (1 - c_size) * size_path + np.sqrt(c_size * (2 - c_size) * mass) * whitened
        faded = np.linalg.norm(size_path) / np.sqrt(1 - (1 - c_size) ** (2 * generation + 2))
        moving = faded < (1.4 + 2 / (size + 1)) * expected
        path = (1 - c_path) * path + moving * np.sqrt(c_path * (2 - c_path) * mass) * step
        covariance = (1 - c_one - c_many) * covariance + c_one * np.outer(path, path)
        covariance += c_many * (steps[order].T * weights) @ steps[order]
        sigma *= float(np.exp(c_size / damping * (np.linalg.norm(size_path) / expected - 1)))
        curve.append((float(scores.max()), float(scores.mean())))
        report(generation, *curve[-1], start + spread * mean)
    return Found(start + spread * mean, curve)
