# SPDX-License-Identifier: Apache-2.0
"""Keeping the questions and answers of a serial motor bus together.

The motors' SDKs accept any packet with the right id as the answer to the latest question: what one read left behind in
the port, because it came after its time-out, would be taken for the answer to the next, and so on for ever. (Their
`clearPort` calls pyserial's `flush`, which empties the other direction.)
"""

from collections.abc import Iterable
from typing import Any

from lerobot_arena.embodiment.lerobot_joints import parts_of

# LeRobot waits 50 ms for an answer: a read that took as long was asked twice, and one answer is still to come.
LATE_S = 0.045
# By then a late answer has come, unless something else held the port's machine up as well …
QUIET_S = 0.1
# … so that joints are read twice for so long, and must agree.
DOUBT_S = 0.5
# Further than any joint gets between two reads that follow each other.
SAME_RAD = 0.1


def buses_of(device: Any) -> list[Any]:
    """The buses of all arms of a LeRobot robot; a robot may have none."""
    return [bus for _, part in parts_of(device) if (bus := getattr(part, "bus", None)) is not None]


def forget_late_answers(buses: Iterable[Any]) -> None:
    """Drop what arrived unasked. Raises what the port raises when it is gone."""
    for bus in buses:
        port = getattr(getattr(bus, "port_handler", None), "ser", None)
        if port is not None and hasattr(port, "reset_input_buffer"):
            port.reset_input_buffer()
