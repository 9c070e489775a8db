# SPDX-License-Identifier: Apache-2.0
"""What a guard does about an objection, from mild to hard.

The words follow the stop categories of IEC 60204-1, without being a certified safety function: every stop here is like
category 2 (motion ends, power stays); only an embodiment that was configured to cut its torque adds a category-0-like
request to its driver.
"""

from collections.abc import Mapping
from types import MappingProxyType

NONE = ""
SLOW_DOWN = "slow_down"
RETREAT = "retreat"
HOLD = "hold_position"
STOP = "stop"
EMERGENCY_STOP = "emergency_stop"

# Of several at once, the highest severity is done.
SEVERITY: Mapping[str, int] = MappingProxyType(
    {NONE: 0, SLOW_DOWN: 20, RETREAT: 30, HOLD: 40, STOP: 60, EMERGENCY_STOP: 100}
)
NAMES = tuple(name for name in SEVERITY if name)

ENFORCE, MONITOR, LOG_ONLY = "enforce", "monitor", "log_only"
ENFORCEMENT_MODES = (ENFORCE, MONITOR, LOG_ONLY)
