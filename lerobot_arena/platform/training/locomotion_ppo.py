# SPDX-License-Identifier: Apache-2.0
"""Proximal policy optimisation (Schulman et al., 2017) of a small network on top of a gait, on few CPU cores.

The learnt action is gait(features) + network(observation): learning starts from something that already steps.
The critic also sees what only the simulator knows; it is not exported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.training.locomotion_gait import Gait
from lerobot_arena.platform.training.locomotion_mirror import Mirror
from lerobot_arena.platform.training.locomotion_task import Task


@dataclass(frozen=True, slots=True)
class PpoRules:
    """`steps` control periods of each robot per update, `updates` of them; `std` of the raw actions at first."""

    updates: int = 1000
    steps: int = 24
    epochs: int = 4
    batches: int = 4
    rate: float = 5e-4
    kl: float = 0.015
    clip: float = 0.2
    discount: float = 0.99
    trace: float = 0.95
    entropy: float = 0.002
    std: float = 0.5
    hidden: tuple[int, ...] = (128, 64)
    seed: int = 0
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """weights [in, out], bias [out]."""

    weights: NDArray[np.floating[Any]]
    bias: NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Learnt:
    """The network's layers, ELU between them, its inputs' normalisation folded in; and reward, length per update."""

    layers: tuple[Layer, ...]
    curve: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Norm:
    """Running mean and variance of an observation."""

    mean: Any
    square: Any
    count: float = 1e-2

    def add(self, seen: Any) -> None:
        share = len(seen) / (self.count + len(seen))
        self.mean += share * (seen.mean(0) - self.mean)
        self.square += share * ((seen**2).mean(0) - self.square)
        self.count = min(self.count + len(seen), 5e6)

    @property
    def std(self) -> Any:
        return (self.square - self.mean**2).clamp(min=1e-4).sqrt()

    def __call__(self, seen: Any) -> Any:
        return ((seen - self.mean) / self.std).clamp(-8, 8)


class Trainer:
    """Learns a network for `task` beside `weights` [features, joints] of `gait`."""

    def __init__(
        self, task: Task, gait: Gait, weights: FloatArray, rules: PpoRules, *, mirror: Mirror | None = None
    ) -> None:
        import torch

        torch.set_num_threads(rules.threads)
        torch.manual_seed(rules.seed)
        self._task, self._gait, self._weights, self._rules = task, gait, weights, rules
        self._mirror = mirror
        obs = task.worlds.observe()
        seen, joints = obs.shape[1], weights.shape[1]
        known = task.privileged(obs).shape[1]
        self.actor = _network((seen, *rules.hidden, joints), last=0.01)
        self.critic = _network((known, *rules.hidden, 1), last=1.0)
        self.log_std = torch.full((joints,), float(np.log(rules.std)), requires_grad=True)
        everything = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        self._optimiser = torch.optim.Adam(everything, lr=rules.rate)
        self._norms = [_Norm(torch.zeros(size), torch.ones(size)) for size in (seen, known)]
        self.curve: list[tuple[float, float]] = []

    def train(
        self, report: Callable[[int, tuple[float, float]], None] = lambda update, figures: None
    ) -> Learnt:
        """Do all updates; `report(update, (mean reward, share of falls))` hears of each."""
        for update in range(self._rules.updates):
            self.curve.append(self.update())
            report(update, self.curve[-1])
        return self.learnt()

    def learnt(self) -> Learnt:
        """Return the network as it is now, with the normalisation in its first layer."""
        linear = [module for module in self.actor if hasattr(module, "weight")]
        layers = [
            Layer(one.weight.detach().numpy().T.copy(), one.bias.detach().numpy().copy()) for one in linear
        ]
        mean, std = self._norms[0].mean.numpy(), self._norms[0].std.numpy()
        first = layers[0].weights / std[:, None]
        layers[0] = Layer(first, layers[0].bias - mean @ first)
        return Learnt(tuple(layers), list(self.curve))

    def update(self) -> tuple[float, float]:
        """Let all robots walk for some steps, then learn from it; returns (mean reward, falls per second)."""
        import torch

        with torch.no_grad():
            batch = self._walk()
        self._learn(batch)
        return float(batch["reward"].mean()), float(batch["fell"].mean() / self._task.worlds.spec.control_dt)

    def _walk(self) -> dict[str, Any]:
        import torch

        kept: dict[str, list[Any]] = {}
        std = self.log_std.exp()
        for _ in range(self._rules.steps):
            obs = self._task.worlds.observe()
            known = torch.from_numpy(self._task.privileged(obs))
            seen = torch.from_numpy(obs)
            mean = self.actor(self._norms[0](seen))
            action = mean + std * torch.randn(mean.shape)
            base = self._gait.features(self._task.worlds.spec, obs) @ self._weights
            reward, fell, late = self._task.step(base + action.numpy())
            value = self.critic(self._norms[1](known))[:, 0]
            reward_t = torch.from_numpy(reward.astype(np.float32))
            if late.any():
                # Out of time is no failure: what would have followed still counts.
                after = torch.from_numpy(self._task.privileged(self._task.worlds.observe()))
                future = self.critic(self._norms[1](after))[:, 0]
                reward_t = reward_t + self._rules.discount * future * torch.from_numpy(
                    late.astype(np.float32)
                )
            step = {
                "seen": seen, "known": known, "action": action, "mean": mean, "value": value, "reward": reward_t,
                "ended": torch.from_numpy((fell | late).astype(np.float32)),
                "fell": torch.from_numpy(fell.astype(np.float32)),
            }  # fmt: skip
            for name, part in step.items():
                kept.setdefault(name, []).append(part)
            self._task.renew(fell | late)
        batch = {name: torch.stack(parts) for name, parts in kept.items()}
        last = torch.from_numpy(self._task.privileged(self._task.worlds.observe()))
        batch["advantage"] = self._advantages(batch, self.critic(self._norms[1](last))[:, 0])
        batch["std"] = std.clone()
        return batch

    def _advantages(self, batch: dict[str, Any], following: Any) -> Any:
        """Generalised advantage estimation (Schulman et al., 2016), backwards over the steps."""
        import torch

        rules, carried = self._rules, torch.zeros_like(following)
        found = torch.zeros_like(batch["reward"])
        for index in reversed(range(rules.steps)):
            goes_on = 1 - batch["ended"][index]
            surprise = batch["reward"][index] + rules.discount * following * goes_on - batch["value"][index]
            carried = surprise + rules.discount * rules.trace * goes_on * carried
            found[index], following = carried, batch["value"][index]
        return found

    def _learn(self, batch: dict[str, Any]) -> None:
        import torch

        rules = self._rules
        flat = {
            name: batch[name].flatten(0, 1)
            for name in ("seen", "known", "action", "mean", "value", "advantage")
        }
        flat["target"] = flat["advantage"] + flat["value"]
        std = batch["std"]
        old = torch.distributions.Normal(flat["mean"], std)
        flat["log"] = old.log_prob(flat["action"]).sum(1)
        flat["advantage"] = (flat["advantage"] - flat["advantage"].mean()) / (flat["advantage"].std() + 1e-6)
        walked = self._norms[0](flat["seen"])
        if self._mirror is not None:
            flat = _doubled(flat, self._mirror)
        # Before the statistics move: these inputs are what the actions were drawn from.
        flat["seen_n"], flat["known_n"] = self._norms[0](flat["seen"]), self._norms[1](flat["known"])
        for _ in range(rules.epochs):
            for picked in torch.randperm(len(flat["log"])).chunk(rules.batches):
                mean = self.actor(flat["seen_n"][picked])
                new = torch.distributions.Normal(mean, self.log_std.exp())
                ratio = (new.log_prob(flat["action"][picked]).sum(1) - flat["log"][picked]).exp()
                gain = flat["advantage"][picked]
                gained = torch.min(ratio * gain, ratio.clamp(1 - rules.clip, 1 + rules.clip) * gain).mean()
                value = self.critic(flat["known_n"][picked])[:, 0]
                loss = 0.5 * (value - flat["target"][picked]).pow(2).mean() - gained
                loss = loss - rules.entropy * new.entropy().sum(1).mean()
                self._descend(loss)
        with torch.no_grad():
            new = torch.distributions.Normal(self.actor(walked), self.log_std.exp())
            self._adapt(float(torch.distributions.kl_divergence(old, new).sum(1).mean()))
        if self._norms[0].count < 4e6:
            self._norms[0].add(flat["seen"])
            self._norms[1].add(flat["known"])

    def _descend(self, loss: Any) -> None:
        import torch

        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [*self.actor.parameters(), *self.critic.parameters(), self.log_std], 1.0
        )
        self._optimiser.step()

    def _adapt(self, kl: float) -> None:
        """Keep an update near the wanted divergence, as rsl_rl does it with every step."""
        for group in self._optimiser.param_groups:
            if kl > 1.5 * self._rules.kl:
                group["lr"] = max(1e-4, group["lr"] / 1.3)
            elif 0 < kl < self._rules.kl / 1.5:
                group["lr"] = min(2e-3, group["lr"] * 1.3)


def _doubled(flat: dict[str, Any], mirror: Mirror) -> dict[str, Any]:
    """Add what would have happened in the mirror, as likely and as good as what happened (Mittal et al., 2024)."""
    import torch

    turned = {"seen": mirror.seen, "known": mirror.known, "action": mirror.action}
    both = {}
    for name in ("seen", "known", "action", "log", "advantage", "target"):
        part, other = flat[name], flat[name]
        if name in turned:
            other = part[:, torch.from_numpy(turned[name].order)] * torch.from_numpy(turned[name].signs)
        both[name] = torch.cat([part, other])
    return both


def _network(sizes: tuple[int, ...], *, last: float) -> Any:
    from torch import nn

    layers: list[Any] = []
    for index, (before, after) in enumerate(pairwise(sizes)):
        layers += [nn.Linear(before, after), nn.ELU()]
        nn.init.orthogonal_(layers[-2].weight, last if index == len(sizes) - 2 else 1.4)
        nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1])
