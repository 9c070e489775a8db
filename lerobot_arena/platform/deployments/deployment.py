# SPDX-License-Identifier: Apache-2.0
"""What a deployment is, and how many instances it should have now. Pure."""

import math
import re
from dataclasses import dataclass

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.item import CHECKPOINT, POLICY

STARTING, IDLE, PROCESSING, FAILED = "starting", "idle", "processing", "failed"

BROWSER, MUJOCO, PI0, ROBOT = (
    "browser.mujoco.onnx",
    "instance.mujoco.onnx",
    "instance.vla.pi0",
    "native.robot.lowcmd",
)
KINDS = (
    BROWSER,
    MUJOCO,
    "instance.mujoco.sonic",
    "instance.vlm.gemma",
    "instance.vlm.wilddet3d",
    "instance.worldmodel.cosmos",
    "instance.worldrecon.hyworld",
    "instance.worldplay.hyworld",
    PI0,
    ROBOT,
)
"""All that seed 2 names; which of them can run here, the table of runtimes says."""

RUNS = {BROWSER: POLICY, MUJOCO: POLICY, PI0: CHECKPOINT, ROBOT: CHECKPOINT}
"""Which kind of item our own runtimes run."""

DEFAULT_IDLE_S = 1800
MOST_INSTANCES = 16
_LONGEST_TITLE = 200
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Scale:
    """How many instances there may be; `idle_s` None: DEFAULT_IDLE_S."""

    least: int = 0
    most: int = 1
    to_zero: bool = True
    always_on: bool = False
    idle_s: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise InvalidInput(
                f"minInstances {self.least} and maxInstances {self.most}: 0 ≤ minInstances ≤ maxInstances."
            )
        if not 1 <= self.most <= MOST_INSTANCES:
            raise InvalidInput(f"maxInstances is between 1 and {MOST_INSTANCES}, not {self.most}.")
        if self.idle_s is not None and self.idle_s < 0:
            raise InvalidInput("idleScaleDownSeconds is not negative.")

    @property
    def patience_s(self) -> float:
        """Seconds without use after which instances are given up."""
        return float(DEFAULT_IDLE_S if self.idle_s is None else self.idle_s)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment as its owner asked for it; `slug` is part of its address and never changes."""

    id: str
    owner: str
    title: str
    slug: str
    policy: str
    kind: str
    scale: Scale
    created_at: float
    hardware: str | None = None
    updated_at: float = 0.0
    last_active_at: float | None = None

    @property
    def endpoint(self) -> str:
        """Path under which it answers."""
        return f"/deployments/{self.owner}/{self.slug}"


@dataclass(frozen=True, slots=True)
class Load:
    """What runs of a deployment now. `idle_s` is the time since the last use, infinite before the first.

    `is_awaited`: what was started for a use has just become ready, and whoever wanted it has not come for it yet.
    """

    running: int = 0
    busy: int = 0
    waiting: int = 0
    idle_s: float = math.inf
    is_awaited: bool = False


def wanted_instances(scale: Scale, load: Load) -> int:
    """How many instances there should be.

    One more than the busy ones as long as somebody waits, never beyond the most. Unused ones go after the idle time,
    or when nobody comes for what is awaited:
    down to the least, or to none where the deployment may scale to zero. `always_on` keeps at least one.
    """
    floor = max(scale.least, 1) if scale.always_on else scale.least
    if load.waiting or load.busy:
        return min(max(load.busy + load.waiting, floor, 1), scale.most)
    if load.is_awaited or load.idle_s < scale.patience_s:
        return min(max(load.running, floor), scale.most)
    return 0 if scale.to_zero and not scale.always_on else floor


def check_title(title: str) -> str:
    """The title, trimmed. Raises InvalidInput when there is none, or too much of it."""
    trimmed = " ".join(title.split())
    if not 1 <= len(trimmed) <= _LONGEST_TITLE or not trimmed.isprintable():
        raise InvalidInput(f"title needs 1 to {_LONGEST_TITLE} printable characters.")
    return trimmed


def check_hardware(hardware: str | None) -> str | None:
    """Raises InvalidInput for what is no name."""
    if hardware is not None and not hardware.isprintable():
        raise InvalidInput("hardwareSku has characters that are not printable.")
    return hardware


def check_kind(kind: str) -> str:
    """Raises InvalidInput naming the kinds there are."""
    if kind not in KINDS:
        raise InvalidInput(f"There is no runtimeKind {kind[:60]!r}. Choose one of {', '.join(KINDS)}.")
    return kind


def check_scale(kind: str, scale: Scale) -> None:
    """Raises InvalidInput for a number of instances that a kind cannot have."""
    if kind == ROBOT and scale.most != 1:
        raise InvalidInput(f"maxInstances is 1 for {ROBOT}: an instance is the session that drives the arm.")


def slug_of(title: str, taken: frozenset[str] = frozenset()) -> str:
    """A title as part of a path; a number keeps it apart from those that are taken."""
    base = _NOT_SLUG.sub("-", title.lower()).strip("-")[:60].strip("-") or "deployment"
    number, slug = 1, base
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug
