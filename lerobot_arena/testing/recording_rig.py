# SPDX-License-Identifier: Apache-2.0
"""A recorder on a clock that is moved by hand, and readers that are not ours."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.reader import make_reader

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.recording.disk import RealDisk
from lerobot_arena.recording.glance import glance
from lerobot_arena.recording.names import session_files
from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.recording.queue import Topic
from lerobot_arena.recording.recorder import Recorder
from lerobot_arena.testing import cdr_messages

CYCLES = Topic("/arm/dam/cycle", cdr_messages.CYCLE)
FRONT = Topic("/arm/dam/images/front", cdr_messages.IMAGE)


@dataclass
class Rig:
    """A recorder that is stepped by hand."""

    root: Path
    params: RecorderParams = field(default_factory=lambda: RecorderParams(min_free_mb=0, images="all"))
    disk: Any = field(default_factory=RealDisk)
    clock: ManualClock = field(default_factory=ManualClock)
    about: dict[str, str] = field(default_factory=lambda: {"task": "pick"})
    give_index: Any = None

    def __post_init__(self) -> None:
        extra = {"give_index": self.give_index} if self.give_index else {}
        self.recorder = Recorder(
            self.params,
            self.root,
            self.disk,
            arm="arm",
            clock=self.clock,
            describe=lambda: self.about,
            **extra,
        )
        self.next_id = 0

    def cycles(self, count: int, *, decision: int = 0, rate_hz: float = 50.0, step: bool = True) -> None:
        """The guard's next cycles, in real time of the clock."""
        for _ in range(count):
            data = cdr_messages.cycle(self.next_id, decision=decision, steady_ns=self.clock.steady_ns())
            self.recorder.take(CYCLES, data)
            self.next_id += 1
            self.clock.advance(1 / rate_hz)
            if step:
                self.recorder.step()

    def picture(self, grey: int = 128) -> None:
        self.recorder.take(FRONT, cdr_messages.image(grey=grey, stamp_ns=self.clock.wall_ns()))
        self.recorder.step()

    @property
    def folder(self) -> Path:
        (only,) = [path for path in self.root.iterdir() if path.name.startswith("sess_")]
        return only

    @property
    def files(self) -> list[Path]:
        return session_files(self.folder)

    def ids(self) -> list[int]:
        """Cycle ids in all files, in the order of the files."""
        return [cycle_id for path in self.files for cycle_id in cycle_ids(path)]


def messages_of(path: Path) -> list[tuple[str, int, bytes]]:
    """(topic, log_time, bytes) in file order, by the mcap reader, with every checksum looked at."""
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        return [
            (channel.topic, message.log_time, message.data)
            for _, channel, message in reader.iter_messages(log_time_order=False)
        ]


def cycle_ids(path: Path) -> list[int]:
    found = [glance(data) for topic, _, data in messages_of(path) if topic == CYCLES.name]
    return [seen.cycle_id for seen in found if seen is not None]
