# SPDX-License-Identifier: Apache-2.0
"""Parameter dataclasses (core/params.py) as declared, described, bounded ROS parameters."""

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.node import Node

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import ParamInfo, param_infos, params_from_mapping


def _descriptor(default: Any, info: ParamInfo) -> ParameterDescriptor:
    text = info.text + (f" One of: {', '.join(info.choices)}." if info.choices else "")
    descriptor = ParameterDescriptor(description=text, read_only=True)
    if info.lowest is not None and info.highest is not None:
        if isinstance(default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=info.lowest, to_value=info.highest)
            ]
        elif isinstance(default, int) and not isinstance(default, bool):
            descriptor.integer_range = [IntegerRange(from_value=int(info.lowest), to_value=int(info.highest))]
    return descriptor


def declare[P](node: Node, params_type: type[P]) -> P:
    """Declare every field as a read-only parameter and return the dataclass. Raises InvalidInput."""
    values: dict[str, Any] = {}
    for name, (default, info) in param_infos(params_type).items():
        declared = (list(default) or [""]) if isinstance(default, tuple) else default
        try:
            value = node.declare_parameter(name, declared, _descriptor(default, info)).value
        except (ParameterException, InvalidParameterTypeException) as error:
            raise InvalidInput(f"Parameter {name} of {node.get_name()}: {error}") from error
        values[name] = tuple(item for item in value if item) if isinstance(default, tuple) else value
    return params_from_mapping(params_type, values)
