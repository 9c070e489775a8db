# SPDX-License-Identifier: Apache-2.0
"""Any LeRobot robot by its config: stored calibration, no prompts, torque kept, cameras apart from the bus."""

import threading
from math import inf
from typing import Any

from lerobot_arena.core.clock import NS, Clock, SystemClock, seconds_between
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.observation import FloatArray, JointSample
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.units import RADIANS
from lerobot_arena.embodiment.lerobot_bus import (
    DOUBT_S,
    LATE_S,
    QUIET_S,
    SAME_RAD,
    buses_of,
    forget_late_answers,
)
from lerobot_arena.embodiment.lerobot_cameras import CameraThread
from lerobot_arena.embodiment.lerobot_config import keep_torque, load_config, take_cameras
from lerobot_arena.embodiment.lerobot_connect import check_motors, connect_device, make_device, try_to
from lerobot_arena.embodiment.lerobot_hardware import MotorHealth
from lerobot_arena.embodiment.lerobot_joints import (
    JointMap,
    check_stored_calibration,
    map_joints,
)
from lerobot_arena.embodiment.lerobot_torque import buses_with_torque, switch_torque
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Condition, JointReading, Outlet
from lerobot_arena.embodiment.wire import Wire

_SILENT_AFTER_S = 0.5
_PAUSE_AFTER_ERROR_S = 0.05
_TORQUE_ANSWER_S = 0.5
# Longer than a guard waits for something to pass by itself: a stop of the robot's own never does.
_PROTECTIVE_FOR_S = 3.0


class LerobotEmbodiment:
    """One thread owns the bus: it writes a new target at once, reads joints at the joint rate, and health between.

    A motor that cut its own torque is a protective stop: nothing is sent until it has recovered for a while.
    """

    def __init__(self, robot: RobotSpec, params: EmbodimentParams, clock: Clock | None = None) -> None:
        self.robot = robot
        self._params = params
        self._clock = clock or SystemClock()
        self._wake = threading.Condition()
        self._ending = threading.Event()
        self._target: FloatArray | None = None
        self._is_stopped = False
        self._device: Any = None
        self._joints: JointMap | None = None
        self._bus: threading.Thread | None = None
        self._camera_configs: dict[str, Any] = {}
        self._cameras: list[CameraThread] = []
        self._answered_ns: int | None = None
        self._doubt_until_ns = 0
        self._trouble = ""
        self._reads = self._writes = self._errors = 0
        self._health: MotorHealth | None = None
        self._protective = ""
        self._protective_until_ns = 0
        self._all_buses: list[Any] = []
        self._limp_buses: list[Any] = []
        self._asks_limp = self._is_limp = False
        self._limp_words = ""
        self._limp_answered = threading.Event()

    @property
    def camera_names(self) -> tuple[str, ...]:
        return tuple(self._camera_configs)

    def connect(self, outlet: Outlet) -> None:
        """Check everything that can be checked first; torque is cut for a moment only after the warning."""
        config = load_config(self._params.robot_config, self._params.plugins)
        cameras = take_cameras(config)
        self._camera_configs = cameras if self._params.publish_cameras else {}
        if not keep_torque(config):
            outlet.warn(f"{config.type} has no disable_torque_on_disconnect: it may relax when it is let go.")
        if getattr(config, "max_relative_target", None) is not None:
            outlet.warn("max_relative_target is set: LeRobot may clip what the guard has sent.")
        device = make_device(config)
        self._joints = map_joints(self.robot, device, self._params.robot_unit)
        check_stored_calibration(self.robot, device, self._joints)
        self._limp_buses = buses_with_torque(device) if self._params.torque_off_on_estop else []
        check_motors(device)
        self._warn_of_torque(outlet)
        if self._ending.is_set():
            return
        connect_device(device, outlet)
        rate_hz = self._params.hardware_rate_hz
        self._health = MotorHealth(
            device, self._joints, self.robot.joint_names, rate_hz=rate_hz, clock=self._clock
        )
        self._all_buses = buses_of(device)
        self._device = device
        self._start_threads(outlet)

    def command(self, positions: FloatArray, period_s: float) -> None:
        with self._wake:
            if not self._is_stopped and not self._protective and self._device is not None:
                self._target = positions
                self._wake.notify()

    def hold(self) -> None:
        with self._wake:
            self._target = None

    def emergency_stop(self) -> str:
        with self._wake:
            self._is_stopped = True
            self._target = None
            if self._limp_buses and self._device is not None:
                self._limp_answered.clear()
                self._asks_limp = True
                self._wake.notify()
        if self._device is None:
            return "The robot is not connected; commands are ignored."
        if self._limp_buses:
            return self._limp_answer()
        age_s = self._age_s()
        if silence := self._silence(age_s):
            return (
                f"Commands are ignored, and the servos keep what they got last. {silence} "
                "Cut the power if the arm moves."
            )
        return (
            "Commands are ignored; the servos hold their last goal with torque on "
            f"(the bus answered {age_s * 1e3:.0f} ms ago)."
        )

    def clear_emergency(self) -> None:
        with self._wake:
            self._is_stopped = self._asks_limp = False

    def condition(self) -> Condition:
        age_s = self._age_s()
        silence = self._silence(age_s) if self._device is not None else ""
        health = self._health
        if health is not None and health.trouble and not silence:
            silence = health.trouble
        troubles = [
            f"The robot stopped by itself: {self._protective}." if self._protective else "",
            "Its torque is off: the arm is limp until the next start." if self._is_limp else "",
            silence,
            *(f"camera {c.name}: {c.trouble}" for c in self._cameras if c.trouble),
        ]
        counters = (
            ("bus_reads", str(self._reads)),
            ("bus_writes", str(self._writes)),
            ("bus_errors", str(self._errors)),
            ("health_reads", str(health.reads if health is not None else 0)),
            ("health_errors", str(health.errors if health is not None else 0)),
            *((f"frames_{camera.name}", str(camera.frames)) for camera in self._cameras),
        )
        message = "; ".join(filter(None, troubles))
        return Condition(age_s < _SILENT_AFTER_S, message, counters, bool(self._protective))

    def close(self) -> None:
        """Let go of port and cameras; the servos keep their torque."""
        self._ending.set()
        for camera in self._cameras:
            camera.end()
        with self._wake:
            self._wake.notify()
        if self._bus is not None:
            self._bus.join(timeout=3.0)
        for camera in self._cameras:
            camera.join(timeout_s=3.0)

    def _age_s(self) -> float:
        """Since the last joints were read; infinite before the first."""
        if self._answered_ns is None:
            return inf
        return seconds_between(self._answered_ns, self._clock.steady_ns())

    def _silence(self, age_s: float) -> str:
        """What is wrong with the bus; empty when it answers."""
        if self._trouble or age_s < _SILENT_AFTER_S:
            return self._trouble
        ago = "yet" if age_s == inf else f"for {age_s:.1f} s"
        return f"The bus has not answered {ago}; check cable and power."

    def _limp_answer(self) -> str:
        """What became of the torque, as far as the motors said within half a second."""
        if self._limp_answered.wait(_TORQUE_ANSWER_S):
            return f"Commands are ignored. {self._limp_words}"
        return (
            f"Commands are ignored. Torque-off was asked for, but the motors did not confirm it within "
            f"{_TORQUE_ANSWER_S:g} s: cut the power."
        )

    def _warn_of_torque(self, outlet: Outlet) -> None:
        wait_s = self._params.torque_warning_s
        outlet.warn(
            f"Connecting cuts the arm's torque for a moment, in {wait_s:.0f} s: support the arm now. "
            "When this process ends the torque stays on."
        )
        self._ending.wait(wait_s)

    def _start_threads(self, outlet: Outlet) -> None:
        from lerobot.cameras.utils import make_cameras_from_configs

        self._bus = threading.Thread(target=self._run, args=(outlet,), name="bus", daemon=True)
        self._bus.start()
        for name, camera in make_cameras_from_configs(self._camera_configs).items():
            self._cameras.append(CameraThread(name, camera, outlet, self._clock))

    def _run(self, outlet: Outlet) -> None:
        period_ns = round(NS / self._params.joint_rate_hz)
        due_ns = self._clock.steady_ns()
        while not self._ending.is_set():
            target = self._next_target(due_ns)
            try:
                if self._asks_limp:
                    self._go_limp()
                if target is not None:
                    self._stand_up()
                    self._device.send_action(self._need_joints().action(target))
                    self._writes += 1
                if self._clock.steady_ns() >= due_ns:
                    due_ns = max(due_ns + period_ns, self._clock.steady_ns())
                    begun_ns = self._clock.steady_ns()
                    outlet.joints(self._read())
                    if seconds_between(begun_ns, self._clock.steady_ns()) < LATE_S:
                        self._look_at_health(outlet)
                self._trouble = ""
            except Exception as error:  # bus errors have no common type; the bus may come back
                self._report(error, outlet)
                self._ending.wait(_PAUSE_AFTER_ERROR_S)
        try_to(self._device.disconnect, outlet)

    def _next_target(self, due_ns: int) -> FloatArray | None:
        """Wait for a target, a read that is due, or the end."""
        with self._wake:
            wait_s = seconds_between(self._clock.steady_ns(), due_ns)
            is_idle = self._target is None and not self._asks_limp
            if is_idle and wait_s > 0 and not self._ending.is_set():
                self._wake.wait(wait_s)
            target, self._target = self._target, None
            return None if self._is_stopped or self._protective or self._ending.is_set() else target

    def _look_at_health(self, outlet: Outlet) -> None:
        """One register, when it is its turn; a target that waits goes first, within reason."""
        health, now_ns = self._health, self._clock.steady_ns()
        if health is None or now_ns < self._doubt_until_ns:
            return
        if not health.is_due(now_ns, is_hurried=self._target is not None):
            return
        reading = health.read_one()
        if reading is not None:
            outlet.hardware(reading)
        if health.is_owed:
            self._ending.wait(QUIET_S)
            self._doubt()
        self._protect(health.stopped_because, now_ns, outlet)

    def _protect(self, why: str, now_ns: int, outlet: Outlet) -> None:
        if why and not self._protective:
            outlet.warn(f"The robot stopped by itself: {why}.")
        with self._wake:
            if why:
                self._protective, self._target = why, None
                self._protective_until_ns = now_ns + round(_PROTECTIVE_FOR_S * NS)
            elif now_ns >= self._protective_until_ns:
                self._protective = ""

    def _go_limp(self) -> None:
        """Cut the torque; asked again with every turn until all motors say that it is off."""
        self._is_limp = True
        off, count = switch_torque(self._limp_buses, is_on=False)
        self._limp_words = f"Torque is off on {off} of {count} motors, as they say themselves."
        if off == count:
            self._asks_limp = False
        else:
            self._limp_words += " Cut the power."
            self._ending.wait(_PAUSE_AFTER_ERROR_S)
        self._limp_answered.set()

    def _stand_up(self) -> None:
        """Torque again, with the goal where the arm is: it may have fallen since the goal before."""
        if not self._is_limp:
            return
        self._device.send_action(self._need_joints().action(self._positions()))
        on, count = switch_torque(self._limp_buses, is_on=True)
        if on < count:
            raise Unavailable(f"Only {on} of {count} motors took their torque back.")
        self._is_limp = False

    def _doubt(self) -> None:
        """An answer is owed: for a while it may come to any question."""
        self._doubt_until_ns = self._clock.steady_ns() + round(DOUBT_S * NS)

    def _ask_positions(self) -> FloatArray:
        forget_late_answers(self._all_buses)
        return self._need_joints().positions(self._device.get_observation())

    def _positions(self) -> FloatArray:
        """Where the joints are; while an answer is owed, as two readings say. Raises ConnectionError if they differ."""
        positions = self._ask_positions()
        if self._clock.steady_ns() < self._doubt_until_ns:
            apart_rad = float(abs(self._ask_positions() - positions).max())
            if not apart_rad < SAME_RAD:
                raise ConnectionError("one of two joint readings in a row was another question's answer")
        return positions

    def _read(self) -> JointReading:
        stamp_ns = self._clock.wall_ns()
        positions = self._positions()
        self._answered_ns = self._clock.steady_ns()
        self._reads += 1
        return JointReading(
            JointSample(self.robot.joint_names, positions, RADIANS, stamp_ns, self._answered_ns)
        )

    def _report(self, error: Exception, outlet: Outlet) -> None:
        self._errors += 1
        self._doubt()
        trouble = f"The bus does not answer ({type(error).__name__}: {error}); check cable and power."
        if not isinstance(error, ConnectionError):
            trouble += " If its plug was out, start the embodiment again."
        if not self._trouble:
            outlet.warn(trouble)
        self._trouble = trouble

    def _need_joints(self) -> JointMap:
        assert self._joints is not None
        return self._joints


def make(robot: RobotSpec, params: EmbodimentParams, wire: Wire) -> LerobotEmbodiment:
    """For the table of backends."""
    return LerobotEmbodiment(robot, params)
