# SPDX-License-Identifier: Apache-2.0
"""All checks, in the order they are reported."""

from collections.abc import Iterator

from lerobot_arena.cli.doctor import cameras, machine, middleware, policy
from lerobot_arena.cli.doctor.finding import Check, Context, Finding, Level

CHECKS: dict[str, Check] = {
    "python": machine.python,
    "ros": middleware.ros,
    "messages": middleware.messages,
    "dds": middleware.profile,
    "shm": middleware.shared_memory,
    "round trip": middleware.round_trip,
    "gl": cameras.rendering,
    "port": machine.port,
    "disk": machine.disk,
    "clock": machine.clock,
    "extras": machine.extras,
    "robot": policy.robot,
    "policy": policy.policy,
    "cameras": cameras.loss,
}


def examine(context: Context) -> Iterator[Finding]:
    """Run every check; one that breaks is a finding itself."""
    for name, check in CHECKS.items():
        try:
            yield from check(context)
        except Exception as error:  # a check that breaks must not hide the others
            yield Finding(
                name,
                Level.FAIL,
                f"the check itself failed: {type(error).__name__}: {error}",
                "This is a bug of `arena doctor`.",
                "Report it with this line.",
            )
