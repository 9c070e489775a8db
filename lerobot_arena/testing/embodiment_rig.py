# SPDX-License-Identifier: Apache-2.0
"""The embodiment as a real process over real DDS, and one that stands in for its guard."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.embodiment.simulation.scene import HOME_RAD
from lerobot_arena.testing.bench import wait_until
from lerobot_arena.testing.gentle_end import end_gently
from lerobot_arena.testing.probe import Probe

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
HOME = tuple(HOME_RAD[name] for name in NAMES)
TARGET = (0.3, -1.0, 0.9, 1.0, 1.2, 0.5)


class GuardStandIn(Probe):
    """The other side: hears the arm, commands it, calls its services."""

    def __init__(self) -> None:
        from lerobot_arena.ros import convert, qos

        super().__init__("guard")
        self.convert = convert
        self.latest: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.sequence = 0
        self.epoch = 1
        own = convert.own
        for message_type, topic, profile in (
            (convert.JointState, "/arm/joint_states", qos.SENSOR),
            (own.EmbodimentStatus, "/arm/embodiment/status", qos.LATCHED),
            (own.TaskStatus, "/arm/task/status", qos.LATCHED),
            (convert.String, "/arm/robot_description", qos.LATCHED),
            (convert.DiagnosticArray, "/diagnostics", qos.STREAM),
        ):
            self.hear(message_type, topic, profile)
        self.commands = self.node.create_publisher(own.JointCommand, "/arm/command", qos.COMMAND)
        self.clients = {
            name: self.node.create_client(convert.Trigger, f"/arm/embodiment/{name}")
            for name in ("emergency_stop", "clear_emergency", "reset_scene", "repeat_scene")
        }

    def hear(self, message_type: Any, topic: str, profile: Any) -> None:
        def keep(message: Any) -> None:
            self.latest[topic] = message
            self.counts[topic] = self.counts.get(topic, 0) + 1

        self.node.create_subscription(message_type, topic, keep, profile)

    @property
    def status(self) -> Any:
        return self.latest.get("/arm/embodiment/status")

    def positions(self) -> np.ndarray:
        return np.array(self.latest["/arm/joint_states"].position)

    def is_at(self, target: tuple[float, ...], tolerance_rad: float = 0.08) -> bool:
        return "/arm/joint_states" in self.latest and bool(
            np.abs(self.positions() - target).max() < tolerance_rad
        )

    def wait_connected(self) -> None:
        wait_until(
            "a connected arm",
            lambda: (
                self.status is not None and self.status.is_connected and "/arm/joint_states" in self.latest
            ),
            60.0,
        )
        wait_until("the command's subscriber", lambda: self.commands.get_subscription_count() == 1)

    def command(self, positions: tuple[float, ...] = TARGET, **changes: Any) -> None:
        self.sequence += 1
        fields = {
            "epoch": self.epoch,
            "sequence": self.sequence,
            "joint_names": list(NAMES),
            "positions": [float(value) for value in positions],
            "period_s": 0.02,
        } | changes
        message = self.convert.own.JointCommand(**fields)
        message.stamp = self.node.get_clock().now().to_msg()
        self.commands.publish(message)

    def drive(self, target: tuple[float, ...], seconds: float = 5.0) -> None:
        """Command at 50 Hz until the arm is there."""
        deadline = time.monotonic() + seconds
        while not self.is_at(target):
            assert time.monotonic() < deadline, f"{self.positions()} is not {target}; {self.status}"
            self.command(target)
            time.sleep(0.02)  # the rate that a guard commands at

    def refused(self, words: str, **changes: Any) -> None:
        """One command that must be refused for this reason."""
        before = self.status.commands_refused
        self.command(**changes)
        wait_until(f"refusal: {words}", lambda: self.status.commands_refused > before)
        assert words in self.status.refusal

    def refused_once_seen(self, words: str, positions: tuple[float, ...]) -> None:
        """Commands until they are refused for this reason: each process discovers a publisher in its own time."""

        before = self.status.commands_refused

        def is_refused() -> bool:
            self.command(positions)
            time.sleep(0.1)  # longer than its way there and the status's way back
            return self.status.commands_refused > before and words in self.status.refusal

        wait_until(f"refusal: {words}", is_refused, 30.0)

    def accepted(self, positions: tuple[float, ...]) -> None:
        """One command that must be let through. The next could overtake it: the topic keeps the newest only."""
        before = self.status.commands_received - self.status.commands_refused
        self.command(positions)
        wait_until(
            "a command let through",
            lambda: self.status.commands_received - self.status.commands_refused > before,
        )

    def call(self, name: str) -> tuple[bool, str]:
        client = self.clients[name]
        assert client.wait_for_service(10.0)
        pending = client.call_async(self.convert.Trigger.Request())
        answer = wait_until(f"{name}'s answer", lambda: pending.done() and pending.result(), 10.0)
        return answer.success, answer.message


class EmbodimentProcess:
    """One embodiment process with its log."""

    def __init__(self, log: Path, **params: str) -> None:
        arguments = [part for key, value in params.items() for part in ("-p", f"{key}:={value}")]
        command = [sys.executable, "-P", "-m", "lerobot_arena.embodiment.node"]
        command += ["--ros-args", "-r", "__ns:=/arm", *arguments]
        self.log = log
        with log.open("wb") as out:
            # A pipe nobody writes to: whoever reads from the keyboard would wait here for ever.
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20.0)

    def close(self) -> None:
        end_gently(self.process)
        self.process.communicate()
        print(self.log.read_text())
