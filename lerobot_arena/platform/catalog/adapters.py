# SPDX-License-Identifier: Apache-2.0
"""What both adapters share: their names, seed 2's `runtimeAdapter`, and what they are told of the network."""

from dataclasses import dataclass

ONNX_METADATA = "onnx_metadata_v1"
UNITREE_VELOCITY = "unitree_velocity_g1_v0"
ADAPTERS = (ONNX_METADATA, UNITREE_VELOCITY)


@dataclass(frozen=True, slots=True)
class Network:
    """Names and widths of the one input and of the output that is used."""

    input_name: str
    input_width: int
    output_name: str
    output_width: int
