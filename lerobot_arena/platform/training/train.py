# SPDX-License-Identifier: Apache-2.0
"""A small ACT from LeRobot, trained on one CPU in minutes, saved as LeRobot saves it.

The network, its loss and its processors are LeRobot's; only the loop is ours, because `lerobot-train` decodes every
image from disk again and starts from a learning rate that is far too low for minutes of training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.platform.training.dataset import ACTION, IMAGE, STATE, Frames

CHUNK_STEPS = 50
EXECUTE_STEPS = 15


@dataclass(frozen=True, slots=True)
class TrainRules:
    """How to train. The learning rate falls along a cosine over `steps`, or over `minutes` if those end first."""

    steps: int = 2000
    minutes: float = 12.0
    batch_size: int = 32
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came out: `loss` is the mean L1 over the last 50 steps, in standard deviations of the actions."""

    steps: int
    seconds: float
    loss: float


def train_act(
    frames: Frames, out: Path, *, rules: TrainRules, report: Callable[[float, str], None] = lambda *_: None
) -> TrainReport:
    """Train and save a checkpoint with its processors to the folder `out`. Deterministic for a seed unless time ends
    it first."""
    import torch

    torch.manual_seed(rules.seed)
    torch.set_num_threads(rules.threads)
    policy, preprocess, postprocess = _build(frames)
    optimizer = torch.optim.AdamW(
        policy.parameters(), lr=rules.learning_rate, weight_decay=rules.weight_decay
    )
    random = np.random.default_rng(rules.seed)
    losses: list[float] = []
    started = time.monotonic()
    policy.train()
    while (share := _share(len(losses), time.monotonic() - started, rules)) < 1:
        rate = rules.learning_rate * _schedule(share, len(losses), rules)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(_step(policy, preprocess(_batch(frames, random, rules.batch_size)), optimizer))
        if len(losses) % 20 == 0:
            report(share, f"step {len(losses)}, loss {np.mean(losses[-20:]):.4f}")
    policy.eval()
    for part in (policy, preprocess, postprocess):
        part.save_pretrained(out)
    return TrainReport(len(losses), time.monotonic() - started, float(np.mean(losses[-50:])))


def _share(steps: int, elapsed_s: float, rules: TrainRules) -> float:
    return max(steps / rules.steps, elapsed_s / (rules.minutes * 60))


def _schedule(share: float, step: int, rules: TrainRules) -> float:
    warm = min(1.0, (step + 1) / max(rules.warmup_steps, 1))
    return warm * (0.02 + 0.98 * (1 + cos(pi * share)) / 2)


def _build(frames: Frames) -> tuple[Any, Any, Any]:
    """(policy, preprocessor, postprocessor) for the frames' shapes and statistics."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    height, width = frames.images.shape[1:3]
    joints = (frames.states.shape[1],)
    config = ACTConfig(
        input_features={
            STATE: PolicyFeature(FeatureType.STATE, joints),
            IMAGE: PolicyFeature(FeatureType.VISUAL, (3, height, width)),
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, joints)},
        chunk_size=CHUNK_STEPS,
        n_action_steps=EXECUTE_STEPS,
        dim_model=128,
        n_heads=4,
        dim_feedforward=512,
        n_encoder_layers=2,
        n_decoder_layers=1,
        use_vae=False,
        dropout=0.0,
        # From scratch: nothing is downloaded, and the scene is simple enough.
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
    )
    import torch

    stats = {key: {n: torch.as_tensor(v) for n, v in values.items()} for key, values in frames.stats.items()}
    preprocess, postprocess = make_pre_post_processors(config, dataset_stats=stats)
    policy = ACTPolicy(config)
    policy.model.backbone.to(memory_format=torch.channels_last)
    return policy, preprocess, postprocess


def _batch(frames: Frames, random: np.random.Generator, size: int) -> dict[str, Any]:
    import torch

    picked = random.integers(0, len(frames.states), size)
    images = torch.from_numpy(frames.images[picked]).permute(0, 3, 1, 2).to(torch.float32) / 255
    return {
        STATE: torch.from_numpy(frames.states[picked]),
        IMAGE: images,
        ACTION: torch.from_numpy(np.stack([frames.chunk(index, CHUNK_STEPS) for index in picked])),
        # Nothing is padding: past its end an episode means "stay at home".
        "action_is_pad": torch.zeros(size, CHUNK_STEPS, dtype=torch.bool),
    }


def _step(policy: Any, batch: Any, optimizer: Any) -> float:
    import torch

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = policy(batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
    optimizer.step()
    return float(loss.detach())
