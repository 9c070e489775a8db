# SPDX-License-Identifier: Apache-2.0
"""Six Feetech STS3215 servos behind a pseudo terminal: what a SO-100/101 shows its computer, without the arm.

`python -m lerobot_arena.testing.servos FOLDER` writes port, calibration and robot configuration there and serves
until it is stopped. Packets: ff ff, id, length, instruction, parameters, inverted sum (Feetech's protocol manual).
"""

import json
import os
import select
import sys
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lerobot_arena.embodiment.calibration import MotorRange

MOTORS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
RANGES = {
    "shoulder_pan": MotorRange(800, 3300),
    "shoulder_lift": MotorRange(900, 3170),
    "elbow_flex": MotorRange(950, 3150),
    "wrist_flex": MotorRange(980, 3130),
    "wrist_roll": MotorRange(0, 4095),
    "gripper": MotorRange(2030, 3280),
}
_PING, _READ, _WRITE, _SYNC_READ, _SYNC_WRITE = 1, 2, 3, 0x82, 0x83
_BROADCAST = 0xFE
FIRMWARE, MODEL, ID, MIN_LIMIT, MAX_LIMIT, HOMING = 0, 3, 5, 9, 11, 31
TORQUE, GOAL, PRESENT, VOLTAGE, TEMPERATURE, STATUS, CURRENT = 40, 42, 56, 62, 63, 65, 69
_STS3215 = 777
_STEPS_PER_S = 3000.0
_MIDDLE = 2047


@dataclass
class Servo:
    """The memory of one servo, and where it stands; it moves only while its torque is on."""

    number: int
    limits: MotorRange
    position: float = _MIDDLE
    memory: bytearray = field(default_factory=lambda: bytearray(256))
    moved_at_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.memory[FIRMWARE : FIRMWARE + 2] = bytes([3, 10])
        self.memory[ID] = self.number
        self.memory[VOLTAGE], self.memory[TEMPERATURE] = 121, 30 + self.number
        middle = (self.limits.range_min + self.limits.range_max) // 2
        self.position = middle
        for address, value in (
            (MODEL, _STS3215), (MIN_LIMIT, self.limits.range_min), (MAX_LIMIT, self.limits.range_max),
            (GOAL, middle), (PRESENT, middle), (CURRENT, 10 * self.number),
        ):  # fmt: skip
            self.set_word(address, value)

    def word(self, address: int) -> int:
        return int.from_bytes(self.memory[address : address + 2], "little")

    def set_word(self, address: int, value: int) -> None:
        self.memory[address : address + 2] = value.to_bytes(2, "little")

    def move(self) -> None:
        """Let time pass."""
        now_s = time.monotonic()
        reach = (now_s - self.moved_at_s) * _STEPS_PER_S
        self.moved_at_s = now_s
        if self.memory[TORQUE]:
            self.position += max(-reach, min(reach, self.word(GOAL) - self.position))
        self.set_word(PRESENT, round(self.position))


@dataclass(frozen=True, slots=True)
class Write:
    """One write that arrived: servo, address, data."""

    servo: int
    address: int
    data: bytes


class ServoBus:
    """Serves a pseudo terminal on a thread. `port` is what a LeRobot robot opens; `journal` holds every write.

    No answer comes while it `is_silent`, and never about the registers that are `untold`. The next one comes
    `late_s` later; the next about the register `late_about`, where that is not 0.
    """

    def __init__(self) -> None:
        self.servos = {n: Servo(n, RANGES[name]) for n, name in enumerate(MOTORS, start=1)}
        self.journal: list[Write] = []
        self.is_silent = False
        self.untold: set[int] = set()
        self.late_s = 0.0
        self.late_about = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="servos", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """The other end of the cable is gone: from now on the port fails."""
        if not self._ending.is_set():
            self._ending.set()
            self._thread.join(60.0)
            assert not self._thread.is_alive(), "it would go on with a number that is another file's by then"
            os.close(self._master)

    def close(self) -> None:
        self.unplug()
        os.close(self._slave)

    def goals(self) -> list[int]:
        """Goal positions in steps, by motor."""
        return [servo.word(GOAL) for servo in self.servos.values()]

    def torques(self) -> list[bool]:
        """Which servos hold, by motor."""
        return [bool(servo.memory[TORQUE]) for servo in self.servos.values()]

    def torque_cuts(self) -> int:
        """How many times a servo was told to relax."""
        return sum(write.address == TORQUE and not write.data[0] for write in self.journal)

    def write_files(self, folder: Path) -> Path:
        """A calibration that fits the motors, and LeRobot's configuration of this arm, whose path is returned."""
        entries = {
            name: {"id": n, "drive_mode": 0, "homing_offset": 0,
                   "range_min": RANGES[name].range_min, "range_max": RANGES[name].range_max}
            for n, name in enumerate(MOTORS, start=1)
        }  # fmt: skip
        (folder / "desk.json").write_text(json.dumps(entries))
        config = {"type": "so101_follower", "port": self.port, "id": "desk", "calibration_dir": str(folder)}
        (folder / "robot.json").write_text(json.dumps(config))
        return folder / "robot.json"

    def _serve(self) -> None:
        buffer = b""
        while not self._ending.is_set():
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            buffer += os.read(self._master, 4096)
            while (end := _packet_end(buffer)) is not None:
                packet, buffer = buffer[:end], buffer[end:]
                reply = b"".join(self._answer(packet))
                if reply and self.late_s and self.late_about in {0, packet[5]}:
                    late_s, self.late_s = self.late_s, 0.0
                    self._ending.wait(late_s)
                if reply and not self.is_silent:
                    os.write(self._master, reply)

    def _answer(self, packet: bytes) -> Iterator[bytes]:
        number, instruction, parameters = packet[2], packet[4], packet[5:-1]
        if instruction == _SYNC_WRITE:
            address, size = parameters[0], parameters[1]
            for at in range(2, len(parameters), size + 1):
                self._write(parameters[at], address, parameters[at + 1 : at + 1 + size])
        elif instruction == _SYNC_READ:
            for each in parameters[2:]:
                yield from self._read(each, parameters[0], parameters[1])
        elif instruction == _READ:
            yield from self._read(number, parameters[0], parameters[1])
        elif instruction == _WRITE:
            self._write(number, parameters[0], parameters[1:])
            if number in self.servos:
                yield _status(number, b"")
        elif instruction == _PING and number in self.servos:
            yield _status(number, b"")

    def _read(self, number: int, address: int, size: int) -> Iterator[bytes]:
        if number in self.servos and address not in self.untold:
            self.servos[number].move()
            yield _status(number, bytes(self.servos[number].memory[address : address + size]))

    def _write(self, number: int, address: int, data: bytes) -> None:
        for servo in self.servos.values() if number == _BROADCAST else [self.servos.get(number)]:
            if servo is not None and not self.is_silent:
                servo.move()
                self.journal.append(Write(servo.number, address, data))
                servo.memory[address : address + len(data)] = data


def _packet_end(buffer: bytes) -> int | None:
    """Length of the first whole packet in `buffer`, or None."""
    return None if len(buffer) < 4 or len(buffer) < buffer[3] + 4 else buffer[3] + 4


def _status(number: int, data: bytes) -> bytes:
    body = bytes([number, len(data) + 2, 0]) + data
    return b"\xff\xff" + body + bytes([~sum(body) & 0xFF])


def main(folder: Path) -> None:
    """Serve until stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    bus = ServoBus()
    print(f"Servos on {bus.port}; robot configuration {bus.write_files(folder)}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
