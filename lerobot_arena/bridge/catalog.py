# SPDX-License-Identifier: Apache-2.0
"""What a boundary can be made of: every check of the guard's table with its parameters. Pure."""

from functools import cache
from typing import Any

from lerobot_arena.core.params import ParamInfo, param_infos
from lerobot_arena.core.reaction import NAMES, SLOW_DOWN
from lerobot_arena.guard.checks.table import CHECKS, CORE_CHECKS, MANDATORY_CHECKS

_LAYERS = {
    "L0": ("perception", "Is what the policy sees like what it was trained on?"),
    "L1": ("motion", "Can the arm do this safely?"),
    "L2": ("task", "Does this belong to the task?"),
    "L3": ("hardware", "Are robot, sensors and computer well?"),
}
# Last part of a parameter's name → unit.
_UNITS = {
    "s": "s", "ms": "ms", "m": "m", "rad": "rad", "deg": "deg", "c": "°C", "a": "A", "v": "V", "n": "N", "nm": "N·m",
    "hz": "Hz", "percent": "%", "bytes": "B", "mps": "m/s",
}  # fmt: skip


@cache
def callbacks() -> tuple[dict[str, Any], ...]:
    """Every check; those with `needs_boundary` are there only when a boundary names them."""
    return tuple(_callback(name) for name in CHECKS)


def guard_layers() -> list[dict[str, Any]]:
    """The checks by layer."""
    return [
        {
            "layer": layer,
            "event_class": event_class,
            "description": text,
            "callbacks": [item["name"] for item in callbacks() if item["layer"] == layer],
        }
        for layer, (event_class, text) in _LAYERS.items()
    ]


def _callback(name: str) -> dict[str, Any]:
    check = CHECKS.load(name)
    return {
        "name": name,
        "layer": check.layer,
        "phase": check.phase.name.lower(),
        "description": " ".join((check.__doc__ or "").strip().split("\n\n")[0].split()),
        "fallback": check.reaction,
        "fallbacks": [reaction for reaction in NAMES if reaction != SLOW_DOWN or check.may_slow],
        "escalates_to_emergency": check.escalates_to_emergency,
        "needs_geometry": check.needs_geometry,
        "needs_boundary": name not in CORE_CHECKS,
        "is_mandatory": name in MANDATORY_CHECKS,
        "params": [
            _param(key, default, info) for key, (default, info) in param_infos(check.params_type).items()
        ],
    }


def _param(name: str, default: Any, info: ParamInfo) -> dict[str, Any]:
    return {
        "name": name,
        "type": _kind(default, info),
        "default": list(default) if isinstance(default, tuple) else default,
        "description": info.text,
        "unit": _UNITS.get(name.rsplit("_", 1)[-1]),
        "lowest": info.lowest,
        "highest": info.highest,
        "choices": list(info.choices),
        "length": info.length or None,
        "is_per_joint": info.is_per_joint,
        # Which direction allows less motion; the other one, or null, is refused while a task runs under it.
        "tighter": info.tighter or None,
    }


def _kind(default: Any, info: ParamInfo) -> str:
    if isinstance(default, tuple):
        return "numbers" if info.length or info.is_per_joint else "texts"
    kinds = {bool: "flag", int: "whole number", float: "number", str: "text"}
    return kinds[type(default)]
