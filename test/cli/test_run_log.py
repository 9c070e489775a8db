# SPDX-License-Identifier: Apache-2.0
import io
import threading
from pathlib import Path

from rich.console import Console

from lerobot_arena.cli.supervisor.log import LogLine, RunLog, parse_line


def test_rcutils_severity_is_read_back_in_our_format_and_in_the_default_one() -> None:
    assert parse_line("guard", b"[WARN] late by 3 ms") == LogLine("guard", "WARN", "late by 3 ms")
    line = parse_line("guard", b"[ERROR] [1763779.25] [arm.guard]: no limits\n")
    assert (line.level, line.text) == ("ERROR", "no limits")
    assert parse_line("bridge", b"[WARNING] lerobot_arena.bridge: slow").level == "WARN"
    assert parse_line("guard", b"Traceback (most recent call last):").level == ""


def test_a_process_cannot_write_control_codes_to_the_terminal() -> None:
    assert "\x1b" not in parse_line("bridge", b"[INFO] \x1b[2Jcleared\x07 \xff").text


def test_the_terminal_shows_who_said_it_and_the_file_has_it_with_the_time(tmp_path: Path) -> None:
    out = io.StringIO()
    log = RunLog(tmp_path, console=Console(file=out, width=80, no_color=True))
    log.add(LogLine("guard", "WARN", "[not markup] held"))
    log.say("ready")
    log.close()
    assert out.getvalue().splitlines() == ["[guard]       WARN [not markup] held", "[arena]       ready"]
    assert log.path.read_text().splitlines()[0].endswith("Z guard: WARN [not markup] held")


class _Paused(io.StringIO):
    """A terminal somebody has paused."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = threading.Event()

    def write(self, text: str) -> int:
        self.resumed.wait(10.0)
        return super().write(text)


def test_a_paused_terminal_costs_lines_on_it_but_never_stops_the_log(tmp_path: Path) -> None:
    paused = _Paused()
    log = RunLog(tmp_path, console=Console(file=paused, width=80))
    for number in range(5000):
        log.add(LogLine("guard", "INFO", f"line {number}"))
    assert log.lines_dropped > 2000
    assert len(log.path.read_text().splitlines()) == 5000
    paused.resumed.set()
    log.close()
