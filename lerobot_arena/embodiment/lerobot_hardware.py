# SPDX-License-Identifier: Apache-2.0
"""What motors say of their own health, one register at a time between joint reads.

Registers and units: Feetech's STS/SMS memory table (0.1 V, 6.5 mA, sign in bit 15), ROBOTIS' e-manuals of the X series
(0.1 V, 1 or 2.69 mA, whose register 126 is the load on XL430 and XC430).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lerobot_arena.core.clock import NS, Clock, seconds_between
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.embodiment.lerobot_bus import LATE_S, buses_of, forget_late_answers
from lerobot_arena.embodiment.lerobot_joints import JointMap, parts_of

TEMPERATURE, VOLTAGE, CURRENT, ERRORS = "temperature_c", "voltage_v", "current_a", "errors"
_REGISTERS = {
    TEMPERATURE: ("Present_Temperature",),
    VOLTAGE: ("Present_Voltage", "Present_Input_Voltage"),
    CURRENT: ("Present_Current",),
    ERRORS: ("Status", "Hardware_Error_Status"),
}
_SCALES = {TEMPERATURE: 1.0, VOLTAGE: 0.1, ERRORS: 1.0}
_AMPERES = {
    **dict.fromkeys(("sts3215", "sts3250", "sm8512bl"), 0.0065),
    **dict.fromkeys(("xl330-m077", "xl330-m288", "xc330-t181", "xc330-t288"), 0.001),
    **dict.fromkeys(("xm430-w350", "xm540-w270", "xh540-w150"), 0.00269),
}
# The errors for which a motor cuts its torque as delivered; a supply out of its range only blinks.
_STOPS = {
    "Status": {4: "too hot", 8: "too much current", 32: "overloaded"},
    "Hardware_Error_Status": {4: "too hot", 8: "encoder", 16: "electric shock", 32: "overloaded"},
}
_SIGN = 0x8000
_FAILURES_IN_ROW = 3
_REST_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """One register of all motors of one bus; `scales` is motor → physical unit of one count."""

    bus: Any
    prefix: str
    register: str
    scales: Mapping[str, float]

    def read(self) -> dict[str, float]:
        """Motor → value, from the bus. Raises what LeRobot raises."""
        raw = self.bus.sync_read(self.register, list(self.scales), normalize=False)
        return {
            self.prefix + motor: scale * _magnitude(int(raw[motor])) for motor, scale in self.scales.items()
        }


def _magnitude(count: int) -> int:
    return abs(count) & ~_SIGN


def _found(device: Any, channel: str) -> Iterator[Source]:
    """Where a channel is read; a bus that has it for a part of its motors only does not have it."""
    for prefix, part in parts_of(device):
        bus = getattr(part, "bus", None)
        tables = getattr(bus, "model_ctrl_table", None)
        if bus is None or not tables or not hasattr(bus, "sync_read"):
            continue
        models = {name: motor.model for name, motor in bus.motors.items()}
        for register in _REGISTERS[channel]:
            scales = {
                name: _AMPERES.get(model, 0.0) if channel == CURRENT else _SCALES[channel]
                for name, model in models.items()
                if register in tables.get(model, {})
            }
            if models and len(scales) == len(models) and all(scales.values()):
                yield Source(bus, prefix, register, scales)


class MotorHealth:
    """For the thread that owns the bus: `read_one` is one bus transaction, and a whole round takes a period.

    A register that does not answer is left alone for a while, so that its time-outs do not cost the joints. A motor
    counts as stopped by itself when it says so twice running.
    """

    def __init__(
        self, device: Any, joints: JointMap, names: tuple[str, ...], *, rate_hz: float, clock: Clock
    ) -> None:
        self._buses = buses_of(device)
        self._motors = [key.removesuffix(".pos") for key in joints.keys]
        self._names = names
        self._clock = clock
        self._sources = [
            (channel, source) for channel in _REGISTERS for source in _found(device, channel) if rate_hz
        ]
        self._period_ns = round(NS / rate_hz / len(self._sources)) if self._sources else 0
        self._due_ns = clock.steady_ns()
        self._turn = 0
        self._round: dict[str, dict[str, float]] = {}
        self._failures = [0] * len(self._sources)
        self._rests_until_ns = [0] * len(self._sources)
        self._stopped: dict[str, str] = {}
        # Which motors cut their torque themselves, as they said last; empty when none did.
        self.stopped_because = ""
        self.trouble = ""
        # The latest question got no answer, which may still come: the bus needs QUIET_S.
        self.is_owed = False
        self.reads = self.errors = 0

    def is_due(self, now_ns: int, *, is_hurried: bool) -> bool:
        """Whether to read now. While the bus is wanted for something else, only what is long overdue."""
        patience_ns = self._period_ns if is_hurried else 0
        return bool(self._sources) and now_ns >= self._due_ns + patience_ns

    def read_one(self) -> HardwareReading | None:
        """The next register; at the end of a round, the reading of all that answered."""
        now_ns = self._clock.steady_ns()
        self._due_ns = max(self._due_ns + self._period_ns, now_ns)
        self.is_owed = False
        index, self._turn = self._turn, (self._turn + 1) % len(self._sources)
        if now_ns >= self._rests_until_ns[index]:
            self._ask(index, *self._sources[index])
        if self._turn:
            return None
        found, self._round = self._round, {}
        told = {channel: self._ordered(found.get(channel, {})) for channel in (TEMPERATURE, CURRENT, VOLTAGE)}
        return HardwareReading(self._clock.wall_ns(), self._names, **told) if any(told.values()) else None

    def _ask(self, index: int, channel: str, source: Source) -> None:
        try:
            values = self._read(source)
            if channel == ERRORS and any(values.values()):
                again = self._read(source)
                values = {motor: value if again[motor] == value else 0.0 for motor, value in values.items()}
        except Exception as error:  # as with joints: bus errors have no common type
            self._failed(index, f"{source.register} cannot be read ({type(error).__name__}).")
            return
        self.reads += 1
        self._failures[index] = 0
        if self.trouble.startswith(source.register):
            self.trouble = ""
        if channel == ERRORS:
            self._judge(values, _STOPS[source.register])
        else:
            self._round.setdefault(channel, {}).update(values)

    def _read(self, source: Source) -> dict[str, float]:
        forget_late_answers(self._buses)
        begun_ns = self._clock.steady_ns()
        values = source.read()
        if seconds_between(begun_ns, self._clock.steady_ns()) > LATE_S:
            raise TimeoutError(f"The answer about {source.register} may be an older one's.")
        return values

    def _failed(self, index: int, trouble: str) -> None:
        self.errors += 1
        self.is_owed = True
        self.trouble = trouble
        self._failures[index] += 1
        if self._failures[index] >= _FAILURES_IN_ROW:
            self._rests_until_ns[index] = self._clock.steady_ns() + round(_REST_S * NS)
            self._failures[index] = 0

    def _judge(self, errors: Mapping[str, float], reasons: Mapping[int, str]) -> None:
        for motor, value in errors.items():
            why = ", ".join(text for bit, text in reasons.items() if int(value) & bit)
            if why:
                self._stopped[motor] = why
            else:
                self._stopped.pop(motor, None)
        self.stopped_because = "; ".join(f"{motor}: {why}" for motor, why in self._stopped.items())

    def _ordered(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """In the robot's order; empty unless each joint's motor told it."""
        if any(motor not in values for motor in self._motors):
            return ()
        return tuple(values[motor] for motor in self._motors)
