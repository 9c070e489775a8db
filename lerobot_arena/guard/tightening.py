# SPDX-License-Identifier: Apache-2.0
"""Whether a change of a boundary may take effect while it guards a running task: only when it cannot allow more."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.core.params import HIGHER, LOWER, ParamInfo, param_infos, params_from_mapping
from lerobot_arena.core.reaction import SEVERITY
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.checks.table import CHECKS


def loosening(old: Boundary | None, new: Boundary | None) -> str:
    """Why this change could allow more motion than before; empty when it provably does not.

    None is a boundary that is not there. Nothing is weighed against each other: one number that grows looser is
    enough, and a change that cannot be compared counts as one. Layer and description only name things.
    """
    if old is None:
        return ""
    if new is None or new.name != old.name:
        return f"Boundary {old.name!r} would be gone."
    where = f"Boundary {old.name!r}"
    if (old.type, old.loop) != (new.type, new.loop):
        return f"{where}: type or loop would change, and with it which node is active."
    if old.type == "single":
        return _node_loosening(old.nodes[0], new.nodes[0], where)
    ids = [[node.node_id for node in boundary.nodes] for boundary in (old, new)]
    if ids[0] != ids[1]:
        return f"{where}: its nodes would change, and with them which one is active when."
    for before, after in zip(old.nodes, new.nodes):
        node = f"{where}, node {before.node_id!r}"
        if (before.enter_when, before.next) != (after.enter_when, after.next):
            return f"{node}: enter_when or next would change, and with it which node is active when."
        if because := _node_loosening(before, after, node):
            return because
    return ""


def _node_loosening(old: Node, new: Node, where: str) -> str:
    if old.callback != new.callback:
        return f"{where}: {new.callback} in place of {old.callback} cannot be compared."
    check = CHECKS.load(old.callback)
    before, after = (node.fallback or check.reaction for node in (old, new))
    if SEVERITY[after] < SEVERITY[before]:
        return f"{where}: the fallback {after} is milder than {before}."
    if new.warn_frames > old.warn_frames:
        return f"{where}: warn_frames {new.warn_frames} is more patient than {old.warn_frames}."
    if old.timeout_sec and not 0.0 < new.timeout_sec <= old.timeout_sec:
        return (
            f"{where}: timeout_sec {new.timeout_sec:g} is more patient than {old.timeout_sec:g} (0 is never)."
        )
    values = [params_from_mapping(check.params_type, node.params) for node in (old, new)]
    for name, (_, info) in param_infos(check.params_type).items():
        was, is_now = (getattr(params, name) for params in values)
        if was != is_now and not _is_tighter(was, is_now, info):
            return f"{where}: {name} {_shown(is_now)} could allow more than {_shown(was)}."
    return ""


def _is_tighter(old: Any, new: Any, info: ParamInfo) -> bool:
    """Whether `new` allows at most what `old` does, number by number."""
    if info.tighter not in {LOWER, HIGHER}:
        return False
    if isinstance(old, tuple):
        # A list that was not given may have had something else in its place.
        return 0 < len(old) == len(new) and all(_is_tighter(a, b, info) for a, b in zip(old, new))
    return bool(new <= old if info.tighter == LOWER else new >= old)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    is_list = isinstance(value, Sequence)
    return f"[{', '.join(_shown(item) for item in value)}]" if is_list else f"{value:g}"
