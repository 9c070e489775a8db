# SPDX-License-Identifier: Apache-2.0
"""One session: what it has received, what it was asked, what it answered. Messages come on one thread, requests are
served on its policy's; a lock per session keeps them apart, and is never held while a policy computes.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import NS, Clock, seconds_between
from lerobot_arena.core.errors import InvalidInput, PolicyFailed
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import ERROR, INITIALIZING, READY, SessionStatus, SessionWanted
from lerobot_arena.core.stats import StageTimes
from lerobot_arena.inference.joints import JointIntake
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.scores.protocol import Seen
from lerobot_arena.inference.scores.scoring import Look, Scoring
from lerobot_arena.inference.sync import Item, Match, Miss, Synchroniser, SyncRules
from lerobot_arena.inference.turns import Job
from lerobot_arena.inference.worker_client import Answer, Question, WorkerClient

JOINTS = "joints"
Pixels = NDArray[np.uint8]
# A frame as it arrived, decoded only when an observation is assembled. Raises InvalidInput.
LazyFrame = Callable[[], Pixels]


class Session:
    """A wanted session, from the moment it is wanted. Implements pool.PolicyUser."""

    def __init__(
        self,
        wanted: SessionWanted,
        *,
        clock: Clock,
        publish: Callable[[ActionChunk], None],
        on_change: Callable[[], None],
    ) -> None:
        self.wanted = wanted
        self._clock, self._publish, self._on_change = clock, publish, on_change
        self._lock = threading.Lock()
        self._manifest: PolicyManifest | None = None
        self._intake: JointIntake | None = None
        self._sync: Synchroniser[JointSample | LazyFrame] | None = None
        self._scoring: Scoring | None = None
        self._stages = StageTimes()
        self._status = SessionStatus(wanted.session_id)
        self._images = dict.fromkeys(wanted.camera_names, 0)
        self._lost = dict.fromkeys(wanted.camera_names, 0)
        self._input_ns = clock.steady_ns()
        self._sequence = 0
        self._reset_due = True
        self._is_closed = False
        self.is_refused = False

    @property
    def session_id(self) -> str:
        return self.wanted.session_id

    @property
    def key(self) -> str:
        """Tells it from an earlier session of the same id, which may still be ending."""
        return f"{self.session_id}/{id(self):x}"

    def prepare(self, manifest: PolicyManifest, rules: SyncRules, robot: RobotSpec | None) -> None:
        """What the policy needs is known: begin to keep it. Raises PolicyError for an unusable detector."""
        scoring = Scoring(manifest)
        history_s = rules.history_s + (manifest.n_obs_steps - 1) / manifest.fps
        sources = [*manifest.camera_names, *([JOINTS] if manifest.state_names else [])]
        with self._lock:
            self._manifest, self._scoring = manifest, scoring
            self._intake = JointIntake(
                manifest.state_names or manifest.joint_names,
                manifest.unit,
                robot=robot,
                may_have_others=not self.wanted.is_virtual,
            )
            self._sync = Synchroniser(sources, replace(rules, history_s=history_s))
            self._status = replace(
                self._status,
                policy_type=manifest.policy_type,
                joint_names=manifest.joint_names,
                unit=manifest.unit,
                fps=manifest.fps,
                chunk_size=manifest.chunk_size,
                n_action_steps=_execute_steps(manifest),
                camera_names=manifest.camera_names,
                metadata_sources=manifest.sources,
                policy_hash=manifest.sha256,
            )

    def take_joints(self, sample: JointSample) -> None:
        """A joint message, whole or partial."""
        with self._lock:
            self._status = replace(self._status, joints_received=self._status.joints_received + 1)
            self._input_ns = sample.receipt_ns
            if self._intake is None or self._sync is None:
                return
            try:
                state = self._intake.take(sample)
            except InvalidInput as error:
                self._sync.refuse(JOINTS, str(error))
                return
            if state is None:
                self._sync.refuse(JOINTS, f"never named: {', '.join(self._intake.missing)}")
            else:
                item = Item(sample.stamp_ns, sample.receipt_ns, cast(JointSample | LazyFrame, state))
                self._sync.add(JOINTS, item, wall_ns=self._clock.wall_ns())

    def refuse_joints(self, reason: str) -> None:
        """A joint message that could not even be read."""
        with self._lock:
            if self._sync is not None:
                self._sync.refuse(JOINTS, reason)

    def take_frame(
        self, camera: str, stamp_ns: int, receipt_ns: int, pixels: LazyFrame, *, lost: int = 0
    ) -> None:
        """A camera frame; `lost` frames are known to have been missed before it."""
        with self._lock:
            if camera in self._images:
                self._images[camera] += 1
                self._lost[camera] += lost
            self._input_ns = receipt_ns
            if self._sync is not None:
                self._sync.add(camera, Item(stamp_ns, receipt_ns, pixels), wall_ns=self._clock.wall_ns())

    def refuse_frame(self, camera: str, reason: str) -> None:
        """A frame that could not even be read."""
        with self._lock:
            if self._sync is not None:
                self._sync.refuse(camera, reason)

    def fail_to_load(self, message: str) -> None:
        """The policy cannot be used; the session says why until it is deleted."""
        self._change(status=ERROR, error_message=message, is_loaded=False)

    def on_loaded(self, client: WorkerClient) -> None:
        """See pool.PolicyUser: an error stays until a start asks anew."""
        changes: dict[str, Any] = {"is_loaded": True, "device": client.device, "policy_hash": client.sha256}
        if self._status.status == INITIALIZING:
            changes["status"] = READY
        self._change(**changes)

    def on_lost(self, message: str, *, will_return: bool) -> None:
        """See pool.PolicyUser."""
        note = " It is being started again; start the session once it is loaded." if will_return else ""
        self._reset_due = True
        self._change(
            status=ERROR, error_message=message + note, is_loaded=False, errors=self._status.errors + 1
        )

    def close(self) -> None:
        """Nothing is published for it any more."""
        self._is_closed = True

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._status = replace(self._status, **changes)
        self._on_change()

    def begin(self, reset: bool) -> bool:
        """A request arrived; a reset ends an error. Returns whether it is worth serving."""
        if reset:
            self._reset_due = True
            if self._status.status == ERROR and self._status.is_loaded:
                self._change(status=READY, error_message="")
        if self._status.status == READY:
            return True
        self._miss(Miss(self._status.error_message or "the policy is still being loaded"))
        return False

    def observe(self, job: Job) -> "SessionTurn | None":
        """See pool.PolicyUser: what it sees now, or a miss."""
        if self._is_closed or self._status.status != READY:
            return None
        started_ns = self._clock.steady_ns()
        observed = self.assemble(started_ns)
        if isinstance(observed, Miss):
            self._miss(observed)
            return None
        history, match = observed
        synced_ns = self._clock.steady_ns()
        reset, self._reset_due = self._reset_due or job.request.reset, False
        look = Look(self._scoring, _seen(history[-1], match), self._clock, reset=reset)
        question = Question(self.key, history, self.wanted.language_instruction, reset)
        return SessionTurn(self, job, question, match, look, started_ns, synced_ns)

    def take(self, turn: "SessionTurn", answer: Answer | PolicyFailed) -> bool:
        """Publish the answer to a turn, or say why there is none; False then."""
        if not isinstance(answer, PolicyFailed) and not np.isfinite(answer.chunk).all():
            answer = PolicyFailed("The policy answered with values that are not finite.")
        if isinstance(answer, PolicyFailed):
            self._reset_due = True
            self._change(status=ERROR, error_message=str(answer), errors=self._status.errors + 1)
            return False
        computed_s = seconds_between(turn.synced_ns, self._clock.steady_ns())
        stages = {
            "queue": _ms(turn.job.received_ns, turn.started_ns),
            "sync": _ms(turn.started_ns, turn.synced_ns),
            **answer.stage_ms,
            **turn.scoring.stage_ms,
        }
        self._answer(turn.job, turn.match, answer.chunk, turn.scoring.scores, stages, computed_s)
        return True

    def assemble(self, now_ns: int) -> tuple[list[PolicyInput], Match[Any]] | Miss:
        """What the policy is given now, oldest first, or why there is nothing to give."""
        with self._lock:
            manifest, sync = self._manifest, self._sync
            if manifest is None or sync is None:
                return Miss("the policy is still being loaded")
            if manifest.camera_names or manifest.state_names:
                found = sync.observe(now_ns, count=manifest.n_obs_steps, dt_s=1.0 / manifest.fps)
            else:  # a policy that wants to see nothing
                nothing: Match[Any] = Match({"": Item(0, now_ns, None)}, 0.0)
                found = [nothing] * manifest.n_obs_steps
        if isinstance(found, Miss):
            return found
        try:
            return [_policy_input(manifest, match) for match in found], found[-1]
        except InvalidInput as error:
            return Miss(str(error))

    def _miss(self, miss: Miss) -> None:
        is_news = miss.reason != self._status.miss_reason
        with self._lock:
            self._status = replace(self._status, misses=self._status.misses + 1, miss_reason=miss.reason)
        if is_news:
            self._on_change()

    def _answer(
        self,
        job: Job,
        match: Match[Any],
        actions: NDArray[np.float64],
        scores: tuple[Score, ...],
        stages: dict[str, float],
        computed_s: float,
    ) -> None:
        manifest = self._manifest
        if self._is_closed or manifest is None:
            return
        self._sequence += 1
        now_ns = self._clock.steady_ns()
        stages["total"] = _ms(job.received_ns, now_ns)
        chunk = ActionChunk(
            actions=actions,
            joint_names=manifest.joint_names,
            unit=manifest.unit,
            dt_s=1.0 / manifest.fps,
            session_id=self.session_id,
            epoch=job.request.epoch,
            request_sequence=job.request.sequence,
            sequence=self._sequence,
            observation_stamp_ns=match.stamp_ns,
            observation_age_s=seconds_between(match.receipt_ns, now_ns),
            execute_steps=min(_execute_steps(manifest), actions.shape[0]),
            skew_s=match.skew_s,
            scores=scores,
            stage_ms=stages,
        )
        self._publish(chunk)
        for name, duration_ms in stages.items():
            self._stages.add(name, duration_ms)
        with self._lock:
            status = self._status
            self._status = replace(
                status,
                inference_count=status.inference_count + 1,
                miss_reason="",
                total_inference_time_s=status.total_inference_time_s + computed_s,
                skew_s=match.skew_s,
            )

    def status(self) -> SessionStatus:
        """The session as it is now."""
        now_ns = self._clock.steady_ns()
        with self._lock:
            names = self._status.camera_names or tuple(self._images)
            return replace(
                self._status,
                camera_names=names,
                images_received=tuple(self._images.get(name, 0) for name in names),
                images_lost=tuple(self._lost.get(name, 0) for name in names),
                input_idle_s=max(0.0, seconds_between(self._input_ns, now_ns)),
                stages=tuple(self._stages.read()),
            )


@dataclass(frozen=True, slots=True)
class SessionTurn:
    """A request of a session with what it sees, on the way through its policy. Implements pool.Turn."""

    session: Session
    job: Job
    question: Question
    match: Match[Any]
    scoring: Look
    started_ns: int
    synced_ns: int

    def look(self) -> None:
        """See pool.Turn: score the observation."""
        self.scoring()

    def take(self, answer: Answer | PolicyFailed) -> bool:
        """See pool.Turn."""
        return self.session.take(self, answer)


def _seen(observed: PolicyInput, match: Match[Any]) -> Seen:
    received_ns = {camera: match.items[camera].receipt_ns for camera in observed.frames}
    return Seen(observed.state, observed.frames, received_ns)


def _execute_steps(manifest: PolicyManifest) -> int:
    """Temporal ensembling wants a new chunk each step."""
    return 1 if manifest.temporal_ensemble_coeff is not None else manifest.n_action_steps


def _ms(earlier_ns: int, later_ns: int) -> float:
    return (later_ns - earlier_ns) / 1e6


def _policy_input(manifest: PolicyManifest, match: Match[Any]) -> PolicyInput:
    frames = {}
    for camera in manifest.cameras:
        pixels = match.items[camera.name].payload()
        if pixels.shape != (camera.height, camera.width, 3):
            height, width = pixels.shape[:2]
            raise InvalidInput(
                f"Camera {camera.name!r} sends {width}×{height} frames, the policy takes "
                f"{camera.width}×{camera.height}."
            )
        frames[camera.name] = pixels
    state = match.items[JOINTS].payload.values if manifest.state_names else np.empty(0)
    return PolicyInput(state, frames, time_s=match.receipt_ns / NS)
