# SPDX-License-Identifier: Apache-2.0
"""ACT as one small graph: camera frames and joints in the robot's own terms in, actions in the robot's own terms out.

LeRobot's forward splits each feature map into a Python list, which unrolls into thousands of nodes; here tokens stay
one tensor and positions are constants. Resize, normalisation and its inverse are part of the graph, so that running
it needs no statistics and no preprocessing. Batch, height and width are fixed at 1 and the camera's size.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import CameraInput


@dataclass(frozen=True, slots=True)
class Affine:
    """y = scale·x + offset, per element."""

    scale: FloatArray
    offset: FloatArray

    @classmethod
    def identity(cls, size: int) -> "Affine":
        return cls(np.ones(size), np.zeros(size))


def normalising(mode: str, stats: Mapping[str, FloatArray], size: int, *, eps: float) -> Affine:
    """LeRobot's normalisation of one feature as an affine map (lerobot/processor/normalize_processor.py)."""
    if mode == "IDENTITY":
        return Affine.identity(size)
    if mode == "MEAN_STD":
        divisor = stats["std"].reshape(-1) + eps
        return Affine(1.0 / divisor, -stats["mean"].reshape(-1) / divisor)
    low, high = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}[mode]
    lower = stats[low].reshape(-1)
    span = stats[high].reshape(-1) - lower
    span = np.where(span == 0, eps, span)
    return Affine(2.0 / span, -2.0 * lower / span - 1.0)


def denormalising(mode: str, stats: Mapping[str, FloatArray], size: int, *, eps: float) -> Affine:
    """The inverse as LeRobot computes it, which leaves out the epsilon for MEAN_STD."""
    if mode == "MEAN_STD":
        return Affine(stats["std"].reshape(-1), stats["mean"].reshape(-1))
    forward = normalising(mode, stats, size, eps=eps)
    return Affine(1.0 / forward.scale, -forward.offset / forward.scale)


def act_module(
    act: Any, cameras: tuple[CameraInput, ...], *, state: Affine, images: Mapping[str, Affine], action: Affine
) -> Any:
    """A torch module over `act` (lerobot's ACT): forward(state 1×D, *frames 1×H×W×3 uint8) → 1×chunk×D."""
    import torch
    from torch import nn

    act = deepcopy(act).eval()
    fold_batch_norm(act)

    class Graph(nn.Module):
        """See the file's docstring."""

        def __init__(self) -> None:
            super().__init__()
            self.act = act
            self.state_scale, self.state_offset = (
                _constant(state.scale, 1, -1),
                _constant(state.offset, 1, -1),
            )
            self.action_scale = _constant(action.scale, 1, 1, -1)
            self.action_offset = _constant(action.offset, 1, 1, -1)
            scales = [images[c.key].scale / 255.0 for c in cameras]
            self.image_scales = nn.ParameterList(_constant(scale, 1, 3, 1, 1) for scale in scales)
            self.image_offsets = nn.ParameterList(
                _constant(images[c.key].offset, 1, 3, 1, 1) for c in cameras
            )
            self.positions = nn.ParameterList(_positions(act, c) for c in cameras)
            with torch.no_grad():
                latent = act.encoder_latent_input_proj(torch.zeros(1, act.config.latent_dim))
            self.latent = nn.Parameter(latent.unsqueeze(0), requires_grad=False)

        def _tokens(self, index: int, frame: Any) -> Any:
            image = _shrunk(frame, cameras[index]) * self.image_scales[index] + self.image_offsets[index]
            features = act.encoder_img_feat_input_proj(act.backbone(image)["feature_map"])
            return features.flatten(2).permute(2, 0, 1)

        def forward(self, *inputs: Any) -> Any:
            frames = list(inputs)
            tokens, positions = [self.latent], [act.encoder_1d_feature_pos_embed.weight.unsqueeze(1)]
            if act.config.robot_state_feature:
                joints = frames.pop(0) * self.state_scale + self.state_offset
                tokens.append(act.encoder_robot_state_input_proj(joints).unsqueeze(0))
            for index, frame in enumerate(frames):
                tokens.append(self._tokens(index, frame))
                positions.append(self.positions[index])
            position = torch.cat(positions, 0)
            memory = act.encoder(torch.cat(tokens, 0), pos_embed=position)
            queries = act.decoder_pos_embed.weight.unsqueeze(1)
            decoded = act.decoder(
                torch.zeros_like(queries), memory, encoder_pos_embed=position, decoder_pos_embed=queries
            )
            return act.action_head(decoded.transpose(0, 1)) * self.action_scale + self.action_offset

    return Graph().eval()


def _constant(values: FloatArray, *shape: int) -> Any:
    import torch

    tensor = torch.tensor(values, dtype=torch.float32).reshape(shape)
    return torch.nn.Parameter(tensor, requires_grad=False)


def _positions(act: Any, camera: CameraInput) -> Any:
    """The positional embedding of one camera's tokens, tokens × 1 × dim."""
    import torch

    with torch.no_grad():
        features = act.backbone(torch.zeros(1, 3, camera.trained_height, camera.trained_width))["feature_map"]
        position = act.encoder_cam_feat_pos_embed(features)
    return torch.nn.Parameter(position.flatten(2).permute(2, 0, 1), requires_grad=False)


def _shrunk(frame: Any, camera: CameraInput) -> Any:
    """1×H×W×3 uint8 → 1×3×h×w float, by area.py's definition of the trained-in resize."""
    import torch

    block = (camera.height // camera.trained_height, camera.width // camera.trained_width)
    image = frame.permute(0, 3, 1, 2).to(torch.float32)
    return image if block == (1, 1) else torch.round(torch.nn.functional.avg_pool2d(image, block))


def fold_batch_norm(act: Any) -> None:
    """Move the backbone's frozen batch norms into the convolutions before them, in place.

    int8 needs it: a quantised convolution's output must not be rescaled afterwards.
    """
    import torch
    from torch import nn
    from torchvision.ops.misc import FrozenBatchNorm2d

    def fold(conv: Any, norm: Any) -> None:
        with torch.no_grad():
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            conv.weight.mul_(scale.reshape(-1, 1, 1, 1))
            conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)

    for module in act.modules():
        children = list(module.named_children())
        for (_, first), (name, second) in pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, FrozenBatchNorm2d) and first.bias is None:
                fold(first, second)
                setattr(module, name, nn.Identity())
