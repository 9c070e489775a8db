# SPDX-License-Identifier: Apache-2.0
"""A healthy world for the guard's sensor checks, and small changes to it."""

from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any

from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, JointLimits
from lerobot_arena.guard.checks.table import CHECKS

NAMES = ("pan", "lift", "gripper")
LIMITS = JointLimits((-2.0, -1.0, 0.0), (2.0, 1.0, 1.5), (3.0, 3.0, 4.0), (30.0, 30.0, 60.0))
BODY = Body(NAMES, "radians", LIMITS)
HERE = (0.1, 0.2, 0.3)
COOL = HardwareReading(
    0, NAMES, (40.0, 41.0, 42.0), (0.2, 0.3, 0.1), (12.0, 12.1, 11.9), (1.0, 2.0, 2.0), (0.1, 0.0, 0.0)
)
HEALTHY = HostHealth(35.0, 40.0, 60.0, 10_000_000_000)
SCORES = {
    "ood": Score("ood", 0.5, 1.0),
    "frozen:front": Score("frozen:front", 0.0, 3.0),
    "dark:front": Score("dark:front", 0.4, 0.95),
}
GOOD = CheckInput(
    joint_names=NAMES,
    unit="radians",
    limits=LIMITS,
    dt_s=0.02,
    measured=HERE,
    joint_age_s=0.01,
    previous_command=HERE,
    previous_velocity=(0.0, 0.0, 0.0),
    proposed=(0.1005, 0.2, 0.3),
    proposed_names=NAMES,
    action_age_s=0.1,
    now_s=100.0,
    run_s=5.0,
    chunk_sequence=1,
    overlap=0.02,
    scores=MappingProxyType(SCORES),
    scores_age_s=0.1,
    hardware=COOL,
    hardware_age_s=0.4,
    host=HEALTHY,
    host_age_s=0.5,
    embodiment_age_s=0.3,
)
MINE = (
    "joint_age", "heartbeat", "teleport", "task_timeout", "frozen_policy", "chunk_overlap", "ood", "camera_health",
    "following_error", "frozen_sensor", "temperature", "current", "voltage", "force_torque", "host_health",
)  # fmt: skip
JOINT_CHANNELS = {"temperature": "temperature_c", "current": "current_a", "voltage": "voltage_v"}
HARDWARE = (*JOINT_CHANNELS, "force_torque")


def make(name: str, body: Body = BODY, **params: Any) -> Check:
    """The named check of the table, with its defaults but for `params`."""
    check_type = CHECKS.load(name)
    check: Check = check_type(params_from_mapping(check_type.params_type, params), body)
    return check


def told(**changes: Any) -> dict[str, Any]:
    """A hardware reading that differs from `COOL` by these."""
    return {"hardware": replace(COOL, **changes)}


def scored(**values: float) -> dict[str, Any]:
    """These scores at other values."""
    names = {name.replace(":", "_"): name for name in SCORES}
    changed = {names[key]: replace(SCORES[names[key]], value=value) for key, value in values.items()}
    return {"scores": SCORES | changed}


class Run:
    """Cycles at 50 Hz of one check; joint states are received 100 times a second."""

    def __init__(self, name: str, body: Body = BODY, **params: Any) -> None:
        self.check = make(name, body, **params)
        self.now = replace(GOOD, now_s=0.0, run_s=0.02)

    def cycle(self, period_s: float = 0.02, **changes: Any) -> Finding:
        self.now = replace(
            self.now, now_s=self.now.now_s + period_s, run_s=self.now.run_s + period_s, **changes
        )
        return self.check.examine(self.now)

    def cycles(self, seconds: float, **changes: Any) -> list[Finding]:
        return [self.cycle(**changes) for _ in range(round(seconds / 0.02))]

    def until_objection(self, seconds: float, **changes: Any) -> float:
        """Seconds until the first objection; inf without one."""
        for index, finding in enumerate(self.cycles(seconds, **changes)):
            if finding.decision > Decision.PASS:
                return 0.02 * (index + 1)
        return inf
