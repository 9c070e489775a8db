# SPDX-License-Identifier: Apache-2.0
"""The boundaries of one run: their seats, and which node of each is active now."""

from collections.abc import Iterable, Sequence

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.guard.boundary import Boundary, Condition, Node, successors
from lerobot_arena.guard.chain import make_check
from lerobot_arena.guard.checks.protocol import Body
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.seat import Seat

# Share of the gripper's range below which it counts as closed, and above which as open.
_CLOSED, _OPEN = 0.25, 0.75


class _Active:
    """One boundary with its nodes' seats."""

    def __init__(self, boundary: Boundary, body: Body) -> None:
        self.boundary = boundary
        self.node = boundary.nodes[0]
        self.since_s = 0.0
        self.seats = {node.node_id: _seat(boundary, node, body) for node in boundary.nodes}

    @property
    def seat(self) -> Seat:
        return self.seats[self.node.node_id]


class BoundarySet:
    """Raises InvalidInput when a boundary does not fit the arm, naming it. Not shared between runs."""

    def __init__(self, boundaries: Iterable[Boundary], body: Body) -> None:
        self._body = body
        self._active: list[_Active] = []
        for boundary in boundaries:
            try:
                self._active.append(_Active(boundary, body))
            except InvalidInput as error:
                raise InvalidInput(f"Boundary {boundary.name!r} does not fit this arm: {error}") from error
        self._has_phases = any(len(active.seats) > 1 for active in self._active)
        self.names = self._names()

    @property
    def boundaries(self) -> tuple[Boundary, ...]:
        return tuple(active.boundary for active in self._active)

    def seats(self) -> list[Seat]:
        """The seats of the nodes that are active now."""
        return [active.seat for active in self._active]

    def keep(self, before: "BoundarySet") -> None:
        """Go on where `before` is with every boundary that did not change."""
        for index, active in enumerate(self._active):
            same = [old for old in before._active if old.boundary == active.boundary]
            if same:
                self._active[index] = same[0]
        self.names = self._names()

    def advance(self, run_s: float, measured: Vector) -> bool:
        """Let nodes take over whose time has come; True when the seats changed."""
        if not self._has_phases or not measured:
            return False
        changed = False
        for active in self._active:
            for node in successors(active.boundary, active.node):
                if node.enter_when is not None and self._holds(node.enter_when, active, run_s, measured):
                    active.node, active.since_s = node, run_s
                    active.seat.enter()
                    changed = True
                    break
        if changed:
            self.names = self._names()
        return changed

    def _holds(self, condition: Condition, active: _Active, run_s: float, measured: Vector) -> bool:
        if run_s - active.since_s < condition.elapsed_s:
            return False
        if condition.gripper and self._gripper(measured) != condition.gripper:
            return False
        if not condition.inside_lower_m:
            return True
        geometry = self._body.geometry
        if geometry is None:
            return False
        place = geometry.pose(measured).position_m
        return all(
            low <= value <= high
            for low, value, high in zip(condition.inside_lower_m, place, condition.inside_upper_m)
        )

    def _gripper(self, measured: Vector) -> str:
        """open, closed, or nothing in between; also nothing for an arm without a gripper."""
        names, limits = self._body.joint_names, self._body.limits
        if "gripper" not in names:
            return ""
        index = names.index("gripper")
        low, high = limits.lower[index], limits.upper[index]
        share = (measured[index] - low) / (high - low)
        return "closed" if share < _CLOSED else "open" if share > _OPEN else ""

    def _names(self) -> tuple[str, ...]:
        return tuple(
            active.boundary.name
            if len(active.seats) == 1
            else f"{active.boundary.name}.{active.node.node_id}"
            for active in self._active
        )


def _seat(boundary: Boundary, node: Node, body: Body) -> Seat:
    check = make_check(node.callback, node.params, body)
    condition = node.enter_when
    if condition is not None and condition.inside_lower_m and body.geometry is None:
        raise InvalidInput(f"enter_when needs the arm's geometry, but {body.no_geometry_because}.")
    return Seat(
        check,
        boundary.name if len(boundary.nodes) == 1 else f"{boundary.name}.{node.node_id}",
        boundary.layer or check.layer,
        node.fallback or check.reaction,
        node.warn_frames,
        node.timeout_sec,
    )


def fit(boundaries: Sequence[Boundary], body: Body) -> str:
    """Why a boundary cannot guard this arm; empty when all can."""
    try:
        BoundarySet(boundaries, body)
    except InvalidInput as error:
        return str(error)
    return ""


def needs_geometry(boundary: Boundary) -> bool:
    """Whether it means nothing on an arm of which no model is known."""
    return any(
        CHECKS.load(node.callback).needs_geometry
        or (node.enter_when is not None and bool(node.enter_when.inside_lower_m))
        for node in boundary.nodes
    )
