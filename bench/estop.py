# SPDX-License-Identifier: Apache-2.0
"""E-stop while the policy hangs: request → last command out, over real processes. `python bench/estop.py [TRIALS]`.

In each trial an arm moves, its policy's process is suspended, and while the guard still plays what was planned the
e-stop service is called. Command stamps and requests are on the same machine's clock.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from report import percentiles_ms, show

from lerobot_arena.ros.dds import apply_profile
from lerobot_arena.testing.guard_rig import GuardProcess, StandIn, wait_until

SOURCE = Path(__file__).resolve().parents[1] / "test/safety/chunk_source.py"
TRIALS = 200
DOMAIN = "74"
QUIET_S = 0.25
# Three periods.
STILL_MOVING_S = 0.06


@dataclass
class Found:
    """Seconds of each trial."""

    last_command_s: list[float] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)
    after: int = 0
    moving: int = 0


def trial(stand_in: StandIn, source: "subprocess.Popen[str]", found: Found) -> None:
    """Move, hang, press, watch, and make everything well again."""
    stand_in.run()
    source.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    requested_s, begin = time.time(), time.monotonic()
    success, message, answered = stand_in.call("estop")
    answered_s = requested_s + answered - begin
    assert success, message
    time.sleep(QUIET_S)
    stamps_s = [command.stamp_ns / 1e9 for _, command in stand_in.commands[-50:]]
    found.moving += max(stamps_s) > requested_s - STILL_MOVING_S
    found.last_command_s.append(max(0.0, max(stamps_s) - requested_s))
    found.answer_s.append(answered - begin)
    found.after += sum(stamp > answered_s for stamp in stamps_s) + stand_in.moved_since(
        answered + QUIET_S / 2
    )
    source.send_signal(signal.SIGCONT)
    wait_until("the latch", lambda: stand_in.state and stand_in.state.estop_latched)
    success, message, _ = stand_in.call("reset")
    assert success, message


def measured(trials: int, folder: Path) -> Found:
    """All trials with one guard and one policy process."""
    found = Found()
    stand_in = StandIn()
    stand_in.speed, stand_in.is_answering = 5.0, False
    source = subprocess.Popen([sys.executable, str(SOURCE), "answer"], stdout=subprocess.PIPE, text=True)
    guard = GuardProcess("arm", folder / "guard.txt", "reset_cooldown_s:=0.0")
    try:
        stand_in.want()
        for number in range(trials):
            trial(stand_in, source, found)
            print(f"\r{number + 1} of {trials}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    finally:
        source.kill()
        source.wait()
        guard.end()
        stand_in.close()
    return found


def main() -> None:
    """Measure and print."""
    counts = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ROS_DOMAIN_ID"] = os.environ.get("ROS_DOMAIN_ID", DOMAIN)
        os.environ["ARENA_DATA_DIR"] = folder
        apply_profile(os.environ)
        found = measured(counts[0] if counts else TRIALS, Path(folder))
    rows = [
        {
            "what": "request → last command out",
            "trials": len(found.answer_s),
            **percentiles_ms(found.last_command_s),
        },
        {"what": "request → answer", "trials": len(found.answer_s), **percentiles_ms(found.answer_s)},
    ]
    notes = [
        f"{found.after} commands after the answer. In {found.moving} trials commands flowed until the request.",
        "Goal: last command ≤ 50 ms after the request (p99), 0 after. A 0.0 is a last command from before the request.",
    ]
    show("E-stop while the policy hangs", rows, notes)
    raise SystemExit(1 if found.after else 0)


if __name__ == "__main__":
    main()
