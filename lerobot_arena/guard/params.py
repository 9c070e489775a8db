# SPDX-License-Identifier: Apache-2.0
"""Parameters of the guard node; config/guard.yaml is written from here."""

from dataclasses import dataclass

from lerobot_arena.core.params import param
from lerobot_arena.core.reaction import ENFORCE, ENFORCEMENT_MODES


@dataclass(frozen=True, slots=True)
class GuardParams:
    """Rates in Hz, times in s, tolerances as said; the robot's own limits come from its robot file."""

    robot: str = param("so101", "Shipped robot, or path of a robot file, whose limits are kept.")
    virtual: bool = param(False, "Guard the arms of sessions whose joints come from clients, one loop each.")
    control_rate_hz: float = param(50.0, "Commands per second.", lowest=5.0, highest=250.0)
    joint_timeout_s: float = param(
        0.3,
        "Age by receipt at which an arm's joint state no longer allows motion.",
        lowest=0.02,
        highest=10.0,
    )
    virtual_joint_timeout_s: float = param(
        1.0, "The same for a virtual arm, whose client may send less often.", lowest=0.02, highest=60.0
    )
    action_timeout_s: float = param(
        1.0,
        "Age of an observation at which actions made from it are no longer executed.",
        lowest=0.05,
        highest=60.0,
    )
    hold_grace_s: float = param(
        1.0,
        "How long a run may hold and still go on by itself; then it is stopped.",
        lowest=0.0,
        highest=60.0,
    )
    first_chunk_timeout_s: float = param(
        10.0, "How long a start waits for its first action chunk.", lowest=0.1, highest=600.0
    )
    enforcement_mode: str = param(
        ENFORCE,
        "enforce; monitor asks every check but forwards the policy's own action; log_only asks only for finite "
        "values of the right shape. The last two do not keep the arm safe.",
        choices=ENFORCEMENT_MODES,
    )
    ramp_s: float = param(
        0.5, "After a start or a resume the speed limits grow over this time.", lowest=0.0, highest=60.0
    )
    slow_factor: float = param(
        0.5, "Share of the speed limits that the reaction slow_down leaves.", lowest=0.05, highest=1.0
    )
    slow_release_s: float = param(
        1.0, "slow_down ends after this time without an objection.", lowest=0.0, highest=60.0
    )
    slow_limit_s: float = param(
        30.0, "slow_down that lasts longer becomes a hold.", lowest=0.1, highest=3600.0
    )
    retreat_s: float = param(
        3.0, "How long the reaction retreat goes back along the executed path.", lowest=0.1, highest=60.0
    )
    reset_cooldown_s: float = param(
        0.5, "A reset is refused so soon after the e-stop.", lowest=0.0, highest=60.0
    )
    inference_timeout_s: float = param(
        3.0, "Silence of inference's status after which a start is refused.", lowest=0.5, highest=60.0
    )
    reseed_tolerance: float = param(
        0.05,
        "After a hold the last command is kept when the arm is this near to it, as a share of each joint's range.",
        lowest=0.0,
        highest=0.5,
    )
    nonfinite_limit: int = param(
        5, "Actions with NaN or infinity in a row that stop a run.", lowest=1, highest=1000
    )
    check_budget_ms: float = param(
        10.0,
        "Processor time a check may take, or five times that by the clock; more is a fault.",
        lowest=0.1,
        highest=1000.0,
    )
    niceness: int = param(
        -10, "Scheduling priority of this process, where the system allows it.", lowest=-20, highest=19
    )
    max_virtual_arms: int = param(8, "Virtual arms guarded by this process at most.", lowest=1, highest=64)
    normalized_velocity_per_s: float = param(
        200.0, "Velocity limit of a virtual arm in normalized units.", lowest=1.0, highest=10000.0
    )
    normalized_acceleration_per_s2: float = param(
        2000.0, "Acceleration limit of a virtual arm in normalized units.", lowest=1.0, highest=100000.0
    )
