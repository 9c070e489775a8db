# SPDX-License-Identifier: Apache-2.0
"""A real LeRobot ACT checkpoint with random weights, small enough for a test."""

from pathlib import Path


def write_act_checkpoint(
    folder: Path,
    *,
    cameras: tuple[str, ...] = ("front",),
    size: int = 96,
    chunk: int = 20,
    seed: int = 0,
    dim: int = 32,
) -> Path:
    """Save policy and processors as LeRobot's training does; joints of six, statistics of −100..100."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    images = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, size, size)) for name in cameras
    }
    config = ACTConfig(
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (6,)), **images},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
        dim_model=dim,
        n_heads=max(2, dim // 64),
        dim_feedforward=2 * dim,
        n_encoder_layers=1 if dim < 128 else 4,
        n_vae_encoder_layers=1,
        chunk_size=chunk,
        n_action_steps=chunk,
    )
    policy = ACTPolicy(config)
    for module in policy.modules():  # fresh frozen batch norms are the identity, which would hide a mistake
        if type(module).__name__ == "FrozenBatchNorm2d":
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.3)
            module.weight.uniform_(0.8, 1.2)
            module.bias.normal_(0, 0.1)
    joints = {"mean": torch.randn(6) * 20, "std": torch.rand(6) * 20 + 10}
    stats = {key: {"mean": torch.rand(3, 1, 1), "std": torch.rand(3, 1, 1) * 0.3 + 0.1} for key in images}
    before, after = make_pre_post_processors(
        config, dataset_stats={"observation.state": joints, "action": joints, **stats}
    )
    for part in (policy, before, after):
        part.save_pretrained(folder)
    return folder
