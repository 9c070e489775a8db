# SPDX-License-Identifier: Apache-2.0
"""Wanted and actual state of sessions, arms and embodiments: the values behind the latched topics.

Field for field the messages of the same name in msg/, which document each field; `ros/convert.py` maps by name.
"""

from dataclasses import dataclass

from lerobot_arena.core.guard_config import RunWanted
from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.stats import StageStat

INITIALIZING, READY, RUNNING, STOPPED, TIMEOUT, ERROR = (
    "initializing",
    "ready",
    "running",
    "stopped",
    "timeout",
    "error",
)
IDLE, PAUSED, EMERGENCY = "idle", "paused", "emergency"
CYCLES_DONE = "The cycles that were asked for are done."
"""What a guard says when a run of so many cycles has ended by itself."""


@dataclass(frozen=True, slots=True)
class SessionWanted:
    """One session as its owner asked for it (msg/SessionWanted)."""

    session_id: str
    arm: str
    policy_path: str
    is_virtual: bool = False
    is_selected: bool = False
    workspace_id: str = ""
    policy_type: str = ""
    revision: str = ""
    camera_names: tuple[str, ...] = ()
    camera_topics: tuple[str, ...] = ()
    joint_input_topic: str = ""
    joint_output_topic: str = ""
    unit: str = ""
    rate_hz: float = 0.0
    joint_names: tuple[str, ...] = ()
    language_instruction: str = ""


@dataclass(frozen=True, slots=True)
class SessionsWanted:
    """All sessions that should exist (msg/SessionsWanted)."""

    generation: int = 0
    sessions: tuple[SessionWanted, ...] = ()
    runs: tuple[RunWanted, ...] = ()

    def run_of(self, arm: str) -> RunWanted:
        """How the next start of `arm` is meant."""
        return next((run for run in self.runs if run.arm == arm), RunWanted(arm))

    def for_arm(self, arm: str) -> SessionWanted | None:
        """The session a start of `arm` means: the selected one, else the only one, else none."""
        mine = [session for session in self.sessions if session.arm == arm]
        selected = [session for session in mine if session.is_selected]
        if selected:
            return selected[0]
        return mine[0] if len(mine) == 1 else None


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session as the inference process sees it (msg/SessionStatus)."""

    session_id: str
    status: str = INITIALIZING
    error_message: str = ""
    is_loaded: bool = False
    policy_type: str = ""
    device: str = ""
    joint_names: tuple[str, ...] = ()
    unit: str = ""
    fps: float = 0.0
    chunk_size: int = 0
    n_action_steps: int = 0
    camera_names: tuple[str, ...] = ()
    metadata_sources: tuple[str, ...] = ()
    policy_hash: str = ""
    inference_count: int = 0
    errors: int = 0
    misses: int = 0
    miss_reason: str = ""
    total_inference_time_s: float = 0.0
    images_received: tuple[int, ...] = ()
    images_lost: tuple[int, ...] = ()
    joints_received: int = 0
    input_idle_s: float = 0.0
    skew_s: float = 0.0
    stages: tuple[StageStat, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionsStatus:
    """What the inference process holds (msg/SessionsStatus)."""

    wanted_generation: int = 0
    boot_id: str = ""
    sessions: tuple[SessionStatus, ...] = ()

    def of(self, session_id: str) -> SessionStatus | None:
        """The status of one session, or None when inference does not know it."""
        return next((session for session in self.sessions if session.session_id == session_id), None)


@dataclass(frozen=True, slots=True)
class GuardState:
    """One arm's guard (msg/GuardState)."""

    arm: str
    boot_id: str = ""
    wanted_generation: int = 0
    state: str = IDLE
    session_id: str = ""
    task: str = ""
    active_boundaries: tuple[str, ...] = ()
    enforcement: str = ENFORCE
    reaction: str = ""
    risk: RiskLevel = RiskLevel.NORMAL
    reset_refusals: tuple[str, ...] = ()
    config_version: int = 0
    config_refused: int = 0
    config_problem: str = ""
    unit: str = ""
    epoch: int = 0
    estop_latched: bool = False
    message: str = ""
    not_ready: tuple[str, ...] = ()
    sink: str = ""
    control_rate_hz: float = 0.0
    cycle_count: int = 0
    late_cycles: int = 0
    commands_sent: int = 0
    decisions: tuple[int, ...] = (0, 0, 0, 0)
    holds: int = 0
    chunks_received: int = 0
    chunks_dropped: int = 0
    queue_steps: int = 0
    queue_capacity: int = 0
    action_age_s: float = 0.0
    joint_age_s: float = -1.0
    stages: tuple[StageStat, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbodimentStatus:
    """What moves (msg/EmbodimentStatus)."""

    arm: str
    backend: str
    robot: str = ""
    is_connected: bool = False
    is_holding: bool = True
    is_stopped: bool = False
    is_protective_stop: bool = False
    message: str = ""
    joint_names: tuple[str, ...] = ()
    camera_names: tuple[str, ...] = ()
    command_timeout_s: float = 0.0
    commands_received: int = 0
    commands_refused: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """The simulated task's referee (msg/TaskStatus)."""

    task: str
    episode: int = 0
    seed: int = 0
    successes: int = 0
    failures: int = 0
    elapsed_s: float = 0.0
    time_limit_s: float = 0.0
    is_success: bool = False
    is_over: bool = False
    stage: str = ""
