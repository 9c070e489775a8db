# SPDX-License-Identifier: Apache-2.0
"""Node parameters as frozen dataclasses: default, bounds and text in one place.

`ros/declare.py` declares them, `config/*.yaml` is written from them (`yaml_text`), and a test compares.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.strict import is_number


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """What a person needs to know of one parameter."""

    text: str
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    length: int = 0
    is_per_joint: bool = False
    tighter: str = ""


LOWER, HIGHER = "lower", "higher"


def param(
    default: Any,
    text: str,
    *,
    lowest: float | None = None,
    highest: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that is a parameter. Lists are given as tuples of str."""
    return field(default=default, metadata={"param": ParamInfo(text, lowest, highest, choices)})


def bound(
    default: Any,
    text: str,
    *,
    tighter: str = "",
    lowest: float | None = None,
    highest: float | None = None,
    choices: tuple[str, ...] = (),
    length: int = 0,
    is_per_joint: bool = False,
) -> Any:
    """A parameter of a guard check; a tuple default makes it a list of numbers, empty when not given.

    `tighter` says which direction allows less motion, LOWER or HIGHER; a change of a parameter without it counts as
    loosening. A list has `length` numbers, or one per joint.
    """
    info = ParamInfo(text, lowest, highest, choices, length, is_per_joint, tighter)
    return field(default=default, metadata={"param": info})


def param_infos(params_type: type) -> dict[str, tuple[Any, ParamInfo]]:
    """name → (default, ParamInfo), in order of declaration."""
    found = {}
    for item in fields(params_type):
        if item.default is MISSING or "param" not in item.metadata:
            raise ValueError(f"{params_type.__name__}.{item.name} is not declared with param().")
        found[item.name] = (item.default, item.metadata["param"])
    return found


def _checked(name: str, value: Any, default: Any, info: ParamInfo) -> Any:
    if isinstance(default, bool):
        good = isinstance(value, bool)
    elif isinstance(default, float):
        good = is_number(value)
        value = float(value) if good else value
    elif isinstance(default, int):
        good = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, tuple) and (info.length or info.is_per_joint):
        return _checked_numbers(name, value, info)
    elif isinstance(default, tuple):
        good = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        value = tuple(value) if good else value
    else:
        good = isinstance(value, str)
    if not good:
        raise InvalidInput(f"Parameter {name} must be a {type(default).__name__}, got {value!r}.")
    _check_range(name, value, info)
    if info.choices and value not in info.choices:
        raise InvalidInput(f"Parameter {name} is {value!r}; choose one of {', '.join(info.choices)}.")
    return value


def _check_range(name: str, value: Any, info: ParamInfo) -> None:
    if info.lowest is not None and value < info.lowest or info.highest is not None and value > info.highest:
        raise InvalidInput(
            f"Parameter {name} is {value}; it must lie between {info.lowest} and {info.highest}."
        )


def _checked_numbers(name: str, value: Any, info: ParamInfo) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not all(map(is_number, value)):
        raise InvalidInput(f"Parameter {name} must be a list of finite numbers, got {value!r}.")
    if info.length and len(value) not in {0, info.length}:
        raise InvalidInput(f"Parameter {name} has {len(value)} numbers; it needs {info.length}.")
    for item in value:
        _check_range(name, item, info)
    return tuple(map(float, value))


def params_from_mapping[P](params_type: type[P], values: Mapping[str, Any]) -> P:
    """Build the dataclass from a mapping. Raises InvalidInput on an unknown key, wrong type or bound."""
    infos = param_infos(params_type)
    if unknown := sorted(set(values) - set(infos)):
        near = get_close_matches(str(unknown[0]), infos, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(f"Unknown parameter {unknown[0]!r}.{hint} Known: {', '.join(infos) or 'none'}.")
    return params_type(**{
        name: _checked(name, values.get(name, default), default, info) for name, (default, info) in infos.items()
    })  # fmt: skip


def yaml_text(node: str, params_type: type) -> str:
    """The node's default parameter file, commented with text and bounds."""
    lines = [
        f"# Default parameters of the {node} node, written from {params_type.__name__}.",
        "/**:",
        f"  {node}:",
    ]
    lines.append("    ros__parameters:")
    for name, (default, info) in param_infos(params_type).items():
        bounds = (
            f" [{info.lowest}, {info.highest}]" if info.lowest is not None or info.highest is not None else ""
        )
        choices = f" [{' | '.join(info.choices)}]" if info.choices else ""
        lines += [f"      # {info.text}{bounds}{choices}", f"      {name}: {_yaml(default)}"]
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]" if value else '[""]'
    return f'"{value}"' if isinstance(value, str) else repr(value)
