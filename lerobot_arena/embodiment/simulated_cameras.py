# SPDX-License-Identifier: Apache-2.0
"""The simulator's cameras: asks the rendering process for frames at each camera's rate; replaces it when it dies."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, Unavailable
from lerobot_arena.core.observation import CameraFrame, FloatArray
from lerobot_arena.embodiment.protocol import Outlet
from lerobot_arena.embodiment.render_link import Drawn, RenderLink
from lerobot_arena.embodiment.render_worker import RenderJob

_HUNG_AFTER_S = 5.0
_RESTART_PAUSE_S = 1.0
_LONGEST_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class View:
    """What a picture depends on, and when it was so."""

    snapshot: FloatArray
    stamp_ns: int
    steady_ns: int


@dataclass
class _Slot:
    """One camera's schedule. `asked` is the view of the frame being drawn."""

    period_ns: int
    due_ns: int
    asked: View | None = None
    frames: int = 0
    late: int = 0


class SimulatedCameras:
    """A thread that owns the rendering process."""

    def __init__(self, job: RenderJob, look: Callable[[], View], outlet: Outlet, clock: Clock) -> None:
        self._job = job
        self._look = look
        self._outlet = outlet
        self._clock = clock
        self._ending = threading.Event()
        self._started = threading.Event()
        self._failure: ArenaError | None = None
        self._restarts = 0
        self._duration_ms = 0.0
        now_ns = clock.steady_ns()
        self._slots = [_Slot(round(NS / camera.rate_hz), now_ns) for camera in job.cameras]
        self._thread = threading.Thread(target=self._run, name="cameras", daemon=True)

    def start(self) -> None:
        """Begin, and wait until frames can be drawn. Raises Unavailable."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End thread and process."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=3.0)

    @property
    def trouble(self) -> str:
        """Why no frames come; empty when they do."""
        return "" if self._failure is None else str(self._failure)

    def counters(self) -> list[tuple[str, str]]:
        """For diagnostics."""
        pairs = zip(self._job.cameras, self._slots, strict=True)
        return [
            *((f"frames_{camera.name}", f"{slot.frames} (late {slot.late})") for camera, slot in pairs),
            ("render_ms", f"{self._duration_ms:.1f}"),
            ("render_restarts", str(self._restarts)),
        ]

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._draw_until_end()
            except ArenaError as error:
                self._failure = error
                if not self._started.is_set():
                    self._started.set()
                    return
                self._restarts += 1
                self._outlet.warn(f"{error} It is started again.")
                self._ending.wait(_RESTART_PAUSE_S)

    def _draw_until_end(self) -> None:
        link = RenderLink(self._job)
        try:
            link.wait_ready()
            self._failure = None
            for slot in self._slots:
                slot.asked, slot.due_ns = None, self._clock.steady_ns()
            self._started.set()
            while not self._ending.is_set():
                self._turn(link)
        finally:
            link.close()

    def _turn(self, link: RenderLink) -> None:
        now_ns = self._clock.steady_ns()
        for number, slot in enumerate(self._slots):
            if slot.asked is None:
                self._ask_when_due(link, number, slot, now_ns)
            elif now_ns - slot.asked.steady_ns > _HUNG_AFTER_S * NS:
                raise Unavailable(
                    f"The simulator's rendering process gave no frame for {_HUNG_AFTER_S:.0f} s."
                )
        waits_ns = [slot.due_ns - now_ns for slot in self._slots if slot.asked is None]
        drawn = link.poll(min([_LONGEST_POLL_S, *(wait / NS for wait in waits_ns)]))
        if drawn is not None:
            self._deliver(drawn)

    def _ask_when_due(self, link: RenderLink, number: int, slot: _Slot, now_ns: int) -> None:
        if now_ns < slot.due_ns:
            return
        behind = (now_ns - slot.due_ns) // slot.period_ns
        slot.due_ns += (behind + 1) * slot.period_ns
        if not self._outlet.wants_frame(self._job.cameras[number].name):
            return
        slot.late += behind
        slot.asked = self._look()
        link.request(number, slot.asked.snapshot)

    def _deliver(self, drawn: Drawn) -> None:
        slot = self._slots[drawn.camera]
        view, slot.asked = slot.asked, None
        if view is None:
            return
        slot.frames += 1
        self._duration_ms += 0.1 * (drawn.duration_ms - self._duration_ms)
        name = self._job.cameras[drawn.camera].name
        self._outlet.frame(CameraFrame(name, drawn.image, view.stamp_ns, view.steady_ns))
