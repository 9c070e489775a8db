# SPDX-License-Identifier: Apache-2.0
"""What inference's status means for a run: when it has to stop, and why no chunk comes."""

from dataclasses import dataclass, field

from lerobot_arena.core.clock import seconds_between
from lerobot_arena.core.session import ERROR, SessionsStatus, SessionStatus, SessionsWanted


@dataclass(frozen=True, slots=True)
class InferenceReport:
    """The latest status with its receipt on the steady clock; 0 before the first."""

    sessions: SessionsStatus = field(default_factory=SessionsStatus)
    receipt_ns: int = 0

    def age_s(self, now_ns: int) -> float:
        """Seconds since receipt; negative before the first report."""
        return max(0.0, seconds_between(self.receipt_ns, now_ns)) if self.receipt_ns else -1.0


class RunWatch:
    """Compares inference with what it was when a run began. `session_id` names the run's session."""

    def __init__(self, session_id: str, at_start: InferenceReport) -> None:
        self._session_id = session_id
        self._boot_id = at_start.sessions.boot_id
        status = at_start.sessions.of(session_id) or SessionStatus(session_id)
        self._old_error_count = status.errors
        # A start may come while the status still shows the error that its reset is about to clear.
        self._may_be_old = status.status == ERROR
        self._misses = status.misses

    def stop_because(self, report: SessionsStatus, wanted: SessionsWanted) -> str:
        """Why the run has to stop now, or nothing."""
        if not any(session.session_id == self._session_id for session in wanted.sessions):
            return f"Session {self._session_id!r} was deleted."
        if report.boot_id != self._boot_id:
            return "The inference process was restarted. Start again when the policy is loaded."
        status = report.of(self._session_id)
        if status is None:
            return ""
        if status.status != ERROR:
            self._may_be_old = False
            return ""
        if self._may_be_old and status.errors <= self._old_error_count:
            return ""
        return f"The policy failed: {status.error_message or 'inference gave no reason.'}"

    def absence(self, report: InferenceReport, *, now_ns: int, timeout_s: float, refusal: str) -> str:
        """Why there is no action, as well as it can be known here."""
        if refusal:
            return f"The latest action chunk was refused: {refusal}"
        if report.age_s(now_ns) > timeout_s:
            return "Inference gave no action chunk and does not report: is that process running?"
        status = report.sessions.of(self._session_id)
        if status is not None and status.misses > self._misses and status.miss_reason:
            return f"Inference gave no action chunk, having no usable observation: {status.miss_reason}"
        return "Inference gave no action chunk."
