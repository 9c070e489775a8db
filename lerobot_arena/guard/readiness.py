# SPDX-License-Identifier: Apache-2.0
"""Why a start would be refused, one sentence each; nothing to say means ready."""

from collections.abc import Iterator
from dataclasses import dataclass

from lerobot_arena.core.session import SessionStatus, SessionWanted
from lerobot_arena.guard.joint_inbox import Measured
from lerobot_arena.guard.joint_space import JointSpace


@dataclass(frozen=True, slots=True)
class Situation:
    """All a start depends on. Ages in s; `inference_age_s` is negative before the first report."""

    arm: str
    session: SessionWanted | None
    status: SessionStatus | None
    inference_age_s: float
    inference_timeout_s: float
    space: JointSpace | None
    space_problem: str
    measured: Measured
    joint_age_s: float
    joint_timeout_s: float
    room_problem: str = ""
    foreign_publishers: tuple[str, ...] = ()
    embodiment_problem: str = ""
    latched: str = ""
    defect: str = ""
    unguarded: str = ""


def reasons_against(now: Situation) -> Iterator[str]:
    """Everything a start has to be refused for."""
    if now.defect:
        yield now.defect
    if now.latched:
        yield f"The e-stop is latched: reset it first. {now.latched}"
    if now.session is None:
        yield f"No session is selected for arm {now.arm!r}: start one by its id."
    else:
        yield from _inference(now)
        if now.room_problem:
            yield now.room_problem
    if now.space is None:
        if now.session is not None and now.space_problem:
            yield now.space_problem
    else:
        yield from _joints(now)
    if now.foreign_publishers:
        yield f"Somebody else commands this arm: {', '.join(now.foreign_publishers)}. Stop it."
    if now.embodiment_problem:
        yield now.embodiment_problem
    if now.unguarded:
        yield now.unguarded


def _inference(now: Situation) -> Iterator[str]:
    if now.inference_age_s < 0.0 or now.inference_age_s > now.inference_timeout_s:
        yield "Inference does not report: is that process running?"
    elif now.status is None:
        yield "Inference does not know the session yet."
    elif not now.status.is_loaded:
        detail = f": {now.status.error_message}" if now.status.error_message else " yet."
        yield f"Inference has not loaded the policy{detail}"
    elif now.space is not None:
        yield from _policy_fits(now.space, now.status)


def _policy_fits(space: JointSpace, status: SessionStatus) -> Iterator[str]:
    problem = space.problem_of(status.joint_names, status.unit)
    if problem:
        yield problem


def _joints(now: Situation) -> Iterator[str]:
    because = f" The latest was refused: {now.measured.refusal}" if now.measured.refusal else ""
    if now.joint_age_s < 0.0:
        yield f"No joint state has come yet.{because}"
    elif now.joint_age_s > now.joint_timeout_s:
        yield f"The latest joint state is older than {now.joint_timeout_s:g} s.{because}"
