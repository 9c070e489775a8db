# SPDX-License-Identifier: Apache-2.0
"""One readable log of all processes: coloured on the terminal, whole in a rotated file.

The terminal is written by a thread of its own with a bounded queue: a paused terminal must not stop the reader of a
guard's output, or the guard would block on its next log line.
"""

import logging
import logging.handlers
import queue
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

MAX_LINE = 4000
_QUEUE_LINES = 2000
_FILE_BYTES = 10_000_000
_FILES_KEPT = 5

# What every process is told to write, so that severity can be read back.
CONSOLE_FORMAT = "[{severity}] {message}"
_LEVELS = {"DEBUG": "dim", "INFO": "", "WARN": "yellow", "ERROR": "bold red", "FATAL": "bold white on red"}
_STRUCTURED = re.compile(
    r"\[(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\] ?(?:\[[\d.]+\] ?)?(?:\[[^\]]*\]: ?)?(.*)", re.DOTALL
)
_SECRET = re.compile(r"(#first-admin=)\S+")
_PYTHON_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_COLOURS = (
    "cyan",
    "green",
    "magenta",
    "blue",
    "bright_cyan",
    "bright_green",
    "bright_magenta",
    "bright_blue",
)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one process; `level` is empty when the line does not say."""

    source: str
    level: str
    text: str


def parse_line(source: str, raw: bytes) -> LogLine:
    """A line of output: rcutils' severity when there is one, no control characters, bounded length."""
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    text = "".join(char if char.isprintable() or char == "\t" else "·" for char in text[:MAX_LINE])
    if match := _STRUCTURED.fullmatch(text):
        return LogLine(source, _PYTHON_LEVELS.get(match[1], match[1]), match[2])
    return LogLine(source, "", text)


class RunLog:
    """Takes lines from the supervisor's loop; `close` flushes. Lines the terminal could not take are counted."""

    def __init__(self, folder: Path, *, console: Console | None = None, width: int = 11) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "arena.log"
        self.lines_dropped = 0
        self._console = console
        self._width = width
        self._file = logging.handlers.RotatingFileHandler(
            self.path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
        )
        self._pending: queue.Queue[LogLine | None] = queue.Queue(_QUEUE_LINES)
        self._colours: dict[str, str] = {"arena": "bold"}
        self._thread = threading.Thread(target=self._write_console, name="console", daemon=True)
        self._thread.start()

    def add(self, line: LogLine) -> None:
        """Write a line; never waits for the terminal."""
        # What opens the door is for the terminal alone.
        kept = _SECRET.sub(r"\1…", line.text)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        text = f"{stamp}Z {line.source}: {line.level + ' ' if line.level else ''}{kept}"
        self._file.emit(logging.LogRecord("arena", logging.INFO, "", 0, text, None, None))
        if self._console is None:
            return
        try:
            self._pending.put_nowait(line)
        except queue.Full:
            self.lines_dropped += 1

    def say(self, text: str, *, level: str = "") -> None:
        """A line of the supervisor itself."""
        self.add(LogLine("arena", level, text))

    def close(self) -> None:
        """Write what is pending, for at most a second, and close the file."""
        with suppress(queue.Full):  # the terminal is paused; the file has it all
            self._pending.put(None, timeout=1.0)
        self._thread.join(timeout=1.0)
        self._file.close()

    def _write_console(self) -> None:
        while (line := self._pending.get()) is not None:
            if self._console is not None:
                self._console.print(self._styled(line), soft_wrap=True)

    def _styled(self, line: LogLine) -> Text:
        colour = self._colours.setdefault(line.source, _COLOURS[(len(self._colours) - 1) % len(_COLOURS)])
        text = Text(f"[{line.source}]".ljust(self._width + 2) + " ", style=colour)
        if line.level in {"WARN", "ERROR", "FATAL"}:
            text.append(f"{line.level} ", style=_LEVELS[line.level])
        text.append(line.text, style=_LEVELS.get(line.level, ""))
        return text
