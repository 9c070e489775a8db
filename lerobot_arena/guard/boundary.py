# SPDX-License-Identifier: Apache-2.0
"""Boundaries: which further checks guard a task, with which numbers, and what is done when one objects. Strict.

A `single` has one node and a `list` or `graph` several, of which one is active: the first, until `enter_when` of a
successor holds. Successors are the next node of a list (then the first again when it loops), or a graph node's `next`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.reaction import NAMES, SEVERITY, SLOW_DOWN
from lerobot_arena.guard.checks.table import CHECKS, MANDATORY_CHECKS

TYPES = ("single", "list", "graph")
LAYERS = ("L0", "L1", "L2", "L3", "L4")
MOST_NODES = 32
MOST_BOUNDARIES = 64
_LONGEST_CONFIG = 64_000


@dataclass(frozen=True, slots=True)
class Condition:
    """When a node takes over; everything that is given has to hold. Positions in m in the base frame."""

    elapsed_s: float = 0.0
    gripper: str = ""
    inside_lower_m: tuple[float, ...] = ()
    inside_upper_m: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One check with its numbers; `timeout_sec` 0 means never."""

    callback: str
    node_id: str = "default"
    params: Mapping[str, Any] = field(default_factory=dict)
    fallback: str = ""
    timeout_sec: float = 0.0
    warn_frames: int = 1
    enter_when: Condition | None = None
    next: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Boundary:
    """A named set of nodes on one layer; an empty layer leaves each check on its own."""

    name: str
    nodes: tuple[Node, ...]
    type: str = "single"
    layer: str = ""
    loop: bool = False
    description: str = ""

    def mapping(self) -> dict[str, Any]:
        """What `boundary_from_mapping` reads, with every default written out."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def boundary_from_mapping(data: Any) -> Boundary:
    """Read one boundary. Raises InvalidInput naming what is wrong; nothing unknown is passed over."""
    entry = strict.mapping(data, "A boundary")
    name = strict.name(entry.get("name"), "A boundary's name")
    where = f"Boundary {name!r}"
    strict.only(entry, Boundary, where)
    kind = strict.choice(entry.get("type", "single"), TYPES, f"{where}: type")
    layer = entry.get("layer") or ""
    if layer:
        strict.choice(layer, LAYERS, f"{where}: layer")
    raw = entry.get("nodes")
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not 1 <= len(raw) <= MOST_NODES:
        raise InvalidInput(f"{where}: nodes must be a list of 1 to {MOST_NODES} nodes.")
    nodes = tuple(_node(item, where) for item in raw)
    loop = strict.flag(entry.get("loop", False), f"{where}: loop")
    boundary = Boundary(
        name, nodes, kind, layer, loop, strict.text(entry.get("description"), f"{where}: description")
    )
    _check_shape(boundary, where)
    return boundary


def boundary_from_json(text: str) -> Boundary:
    """Read a boundary from JSON. Raises InvalidInput."""
    if len(text) > _LONGEST_CONFIG:
        raise InvalidInput(f"A boundary of {len(text)} characters is too long.")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"A boundary is not JSON: {error}.") from error
    return boundary_from_mapping(data)


def _node(data: Any, where: str) -> Node:
    entry = strict.mapping(data, f"{where}: a node")
    node_id = strict.name(entry.get("node_id", "default"), f"{where}: node_id")
    where = f"{where}, node {node_id!r}"
    strict.only(entry, Node, where)
    callback = entry.get("callback")
    if not isinstance(callback, str):
        raise InvalidInput(f"{where}: name its check in callback.")
    try:
        check = CHECKS.load(callback)
        params = dict(strict.mapping(entry.get("params") or {}, f"{where}: params"))
        params_from_mapping(check.params_type, params)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    if callback in MANDATORY_CHECKS:
        raise InvalidInput(f"{where}: {callback} is always there, in every mode; it takes no boundary.")
    fallback = entry.get("fallback") or ""
    if fallback:
        strict.choice(fallback, NAMES, f"{where}: fallback")
    if fallback == SLOW_DOWN and not check.may_slow:
        raise InvalidInput(
            f"{where}: slowing down is no answer to {callback}; choose hold_position, stop or another fallback."
        )
    if fallback and SEVERITY[fallback] > SEVERITY[check.hardest]:
        raise InvalidInput(
            f"{where}: {callback} is too uncertain for {fallback}; choose {check.hardest} or something milder."
        )
    when = entry.get("enter_when")
    return Node(
        callback,
        node_id,
        params,
        fallback,
        _seconds(entry.get("timeout_sec"), f"{where}: timeout_sec"),
        strict.whole(entry.get("warn_frames", 1), f"{where}: warn_frames", 1, 1000),
        _condition(when, where) if when is not None else None,
        strict.names(entry.get("next") or (), f"{where}: next"),
    )


def _condition(data: Any, where: str) -> Condition:
    entry = strict.mapping(data, f"{where}: enter_when")
    strict.only(entry, Condition, f"{where}: enter_when")
    gripper = entry.get("gripper") or ""
    if gripper:
        strict.choice(gripper, ("open", "closed"), f"{where}: enter_when.gripper")
    corners = [strict.numbers(entry.get(key), 3, f"{where}: enter_when.{key}") for key in _CORNERS]
    if bool(corners[0]) != bool(corners[1]) or any(
        low >= high for low, high in zip(*corners, strict=bool(corners[0] and corners[1]))
    ):
        raise InvalidInput(f"{where}: enter_when needs inside_lower_m below inside_upper_m on each axis.")
    found = Condition(
        _seconds(entry.get("elapsed_s"), f"{where}: enter_when.elapsed_s"), gripper, corners[0], corners[1]
    )
    if found == Condition():
        raise InvalidInput(f"{where}: enter_when says nothing: give elapsed_s, gripper or a box.")
    return found


_CORNERS = ("inside_lower_m", "inside_upper_m")
_LONGEST_S = 86_400.0


def _seconds(value: Any, what: str) -> float:
    return 0.0 if value is None else strict.number(value, what, 0.0, _LONGEST_S)


def _check_shape(boundary: Boundary, where: str) -> None:
    ids = [node.node_id for node in boundary.nodes]
    if len(set(ids)) != len(ids):
        raise InvalidInput(f"{where}: two nodes have the same node_id.")
    if boundary.type == "single" and len(ids) != 1:
        raise InvalidInput(
            f"{where}: a single boundary has one node; this has {len(ids)}. Use list or graph."
        )
    if boundary.loop and boundary.type != "list":
        raise InvalidInput(f"{where}: only a list can loop.")
    for node in boundary.nodes:
        for following in node.next:
            if boundary.type != "graph" or following not in ids:
                raise InvalidInput(
                    f"{where}, node {node.node_id!r}: next names {following!r}, which is "
                    + (
                        f"no node of it. Nodes: {', '.join(ids)}."
                        if boundary.type == "graph"
                        else "for graphs."
                    )
                )
    entered = _entered(boundary)
    for node in boundary.nodes:
        if node.node_id in entered and node.enter_when is None:
            raise InvalidInput(f"{where}, node {node.node_id!r}: say in enter_when what it takes over for.")


def _entered(boundary: Boundary) -> set[str]:
    """Ids of the nodes that something leads to."""
    ids = [node.node_id for node in boundary.nodes]
    if boundary.type == "graph":
        return {following for node in boundary.nodes for following in node.next}
    return set(ids) if boundary.loop and len(ids) > 1 else set(ids[1:])


def successors(boundary: Boundary, node: Node) -> tuple[Node, ...]:
    """The nodes that may take over from `node`."""
    if boundary.type == "graph":
        return tuple(other for other in boundary.nodes if other.node_id in node.next)
    index = boundary.nodes.index(node) + 1
    if index < len(boundary.nodes):
        return (boundary.nodes[index],)
    return (boundary.nodes[0],) if boundary.loop and len(boundary.nodes) > 1 else ()
