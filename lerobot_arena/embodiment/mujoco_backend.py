# SPDX-License-Identifier: Apache-2.0
"""The simulated SO-101 in real time: physics on a thread paced by the steady clock, pictures from another process."""

import threading

import numpy as np

from lerobot_arena.core.clock import Clock, SystemClock
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import TaskStatus
from lerobot_arena.core.units import RADIANS
from lerobot_arena.embodiment.pacing import Pacer
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Condition, JointReading, Outlet
from lerobot_arena.embodiment.render_worker import RenderJob
from lerobot_arena.embodiment.simulated_cameras import SimulatedCameras, View
from lerobot_arena.embodiment.simulation.engine import mujoco
from lerobot_arena.embodiment.simulation.scene import Scene, build_scene
from lerobot_arena.embodiment.simulation.task import PickPlaceTask
from lerobot_arena.embodiment.wire import Wire

_STEP_S = 0.005
_MOST_STEPS_BEHIND = 20


class MujocoEmbodiment:
    """Scene, physics thread, referee and cameras. A target stays until the next one comes: that is holding."""

    def __init__(self, robot: RobotSpec, params: EmbodimentParams, clock: Clock | None = None) -> None:
        self.robot = robot
        self._params = params
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._scene: Scene | None = None
        self._task = PickPlaceTask()
        self._seed = params.seed
        self._is_driven = False
        self._is_stopped = False
        self._pacer: Pacer | None = None
        self._physics: threading.Thread | None = None
        self._cameras: SimulatedCameras | None = None
        self._death = ""

    @property
    def camera_names(self) -> tuple[str, ...]:
        return self.robot.camera_names if self._params.publish_cameras else ()

    def connect(self, outlet: Outlet) -> None:
        """Build the scene and start both threads. Raises InvalidInput for another arm than the SO-101."""
        scene = build_scene(self.robot, seed=self._seed)
        self._task.begin(self._seed)
        with self._lock:
            self._scene = scene
        if self.camera_names:
            job = RenderJob(self.robot.cameras, scene.snapshot_size, _compiled(scene))
            self._cameras = SimulatedCameras(job, self._look, outlet, self._clock)
            self._cameras.start()
        if self._ending.is_set():
            self.close()
            return
        self._physics = threading.Thread(target=self._run, args=(scene, outlet), name="physics", daemon=True)
        self._physics.start()

    def command(self, positions: FloatArray, period_s: float) -> None:
        with self._lock:
            if self._scene is not None and not self._is_stopped:
                self._scene.set_targets(positions)
                self._is_driven = True

    def hold(self) -> None:
        """Nothing to forget: a target is applied when it comes."""

    def emergency_stop(self) -> str:
        with self._lock:
            self._is_stopped = True
        if not self.condition().is_connected:
            return "The simulator is not running; commands are ignored."
        return "The simulator ignores commands and holds its last target."

    def clear_emergency(self) -> None:
        with self._lock:
            self._is_stopped = False

    def condition(self) -> Condition:
        is_running = self._physics is not None and self._physics.is_alive()
        counters = [("seed", str(self._seed))]
        if self._pacer is not None:
            counters += [
                ("physics_overruns", str(self._pacer.overruns)),
                ("physics_lost_s", f"{self._pacer.lost_periods * _STEP_S:.2f}"),
            ]
        message = self._death
        if self._cameras is not None:
            counters += self._cameras.counters()
            message = message or self._cameras.trouble
        return Condition(is_running, message, tuple(counters))

    def close(self) -> None:
        self._ending.set()
        if self._physics is not None and self._physics is not threading.current_thread():
            self._physics.join(timeout=2.0)
        if self._cameras is not None:
            self._cameras.close()

    def reset_scene(self) -> int:
        """Next seed: arm at home, cube and tray elsewhere. Raises Unavailable before the scene is built."""
        return self._begin(1)

    def repeat_scene(self) -> int:
        """The same seed: arm at home, cube and tray where they began. Raises as `reset_scene`."""
        return self._begin(0)

    def _begin(self, seeds_on: int) -> int:
        with self._lock:
            if self._scene is None:
                raise Unavailable("The simulator is still starting; try again in a moment.")
            self._seed += seeds_on
            self._is_driven = False
            self._scene.reset(self._seed)
            self._task.begin(self._seed)
            return self._seed

    def task_status(self) -> TaskStatus:
        with self._lock:
            return self._task.status()

    def _run(self, scene: Scene, outlet: Outlet) -> None:
        try:
            self._pace(scene, outlet)
        except BaseException as error:
            self._death = (
                f"The physics thread died: {type(error).__name__}: {error}. Start the embodiment again."
            )
            outlet.warn(self._death)
            raise

    def _pace(self, scene: Scene, outlet: Outlet) -> None:
        self._pacer = Pacer(_STEP_S, clock=self._clock, most_behind=_MOST_STEPS_BEHIND)
        steps_between = max(1, round(1.0 / (_STEP_S * self._params.joint_rate_hz)))
        steps = 0
        while not self._ending.is_set():
            due = self._pacer.wait()
            steps += due
            with self._lock:
                scene.step(None, due * _STEP_S)
                if steps < steps_between:
                    continue
                reading = self._read(scene)
                self._task.update(scene.objects(), scene.time_s, is_driven=self._is_driven)
            steps = 0
            outlet.joints(reading)

    def _read(self, scene: Scene) -> JointReading:
        sample = JointSample(
            self.robot.joint_names,
            scene.joint_positions(),
            RADIANS,
            self._clock.wall_ns(),
            self._clock.steady_ns(),
        )
        return JointReading(sample, scene.joint_velocities())

    def _look(self) -> View:
        with self._lock:
            assert self._scene is not None
            return View(self._scene.snapshot(), self._clock.wall_ns(), self._clock.steady_ns())


def _compiled(scene: Scene) -> bytes:
    """The model as MuJoCo's own binary, so that the rendering process need not build it again."""
    mj = mujoco()
    buffer = np.zeros(mj.mj_sizeModel(scene.model), dtype=np.uint8)
    mj.mj_saveModel(scene.model, None, buffer)
    return buffer.tobytes()


def make(robot: RobotSpec, params: EmbodimentParams, wire: Wire) -> MujocoEmbodiment:
    """For the table of backends."""
    return MujocoEmbodiment(robot, params)
