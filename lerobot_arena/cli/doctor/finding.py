# SPDX-License-Identifier: Apache-2.0
"""What a check answers, and what it is told."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """fail: it will not work. warn: it works, but not as well or not for everything."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` is what to do, empty when nothing needs doing."""

    check: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Context:
    """What the person asked about, and the environment the processes would be started in."""

    environment: Mapping[str, str]
    data_dir: Path
    url: str
    port: int
    arm: str = "arm"
    robot: str = "so101"
    policy: str = ""
    camera_seconds: float = 3.0


Check = Callable[[Context], list[Finding]]


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, what)


def warn(check: str, what: str, *, why: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(check, Level.WARN, what, why, remedy)


def fail(check: str, what: str, *, why: str, remedy: str) -> Finding:
    """It will not work."""
    return Finding(check, Level.FAIL, what, why, remedy)
