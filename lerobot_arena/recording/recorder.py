# SPDX-License-Identifier: Apache-2.0
"""The recorder without ROS and without threads: messages come by `take`, everything slow happens in `step`."""

import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotFound, Unavailable
from lerobot_arena.recording.disk import Disk
from lerobot_arena.recording.glance import CYCLE_TYPE
from lerobot_arena.recording.images import ImageGate, ImagePolicy, jpeg_twin
from lerobot_arena.recording.log_clock import LogClock
from lerobot_arena.recording.names import COMPRESSED_IMAGE, IMAGE, IMAGE_TYPES, new_session_id
from lerobot_arena.recording.params import RecorderParams
from lerobot_arena.recording.queue import BoundedQueue, Item, Rank, Topic
from lerobot_arena.recording.ranking import Ranking
from lerobot_arena.recording.repair import close_in_place
from lerobot_arena.recording.session_writer import SessionWriter
from lerobot_arena.recording.space import make_room
from lerobot_arena.recording.status import (
    DEGRADED,
    ERROR,
    IDLE,
    OK,
    RECORDING,
    WARN,
    EventLog,
    RecorderStatus,
)
from lerobot_arena.recording.trouble import why

_MIB = 1 << 20
_BATCH = 512
_LOOK_S = 1.0


class Recorder:
    """`take` is called by one thread, everything else by one other."""

    def __init__(
        self,
        params: RecorderParams,
        root: Path,
        disk: Disk,
        *,
        arm: str,
        clock: Clock,
        describe: Callable[[], Mapping[str, str]] = dict,
        give_index: Callable[[Path], object] = close_in_place,
    ) -> None:
        self.params, self.root, self._disk, self._arm, self._clock = params, root, disk, arm, clock
        self._describe, self._give_index = describe, give_index
        self.queue = BoundedQueue(params.queue_mb * _MIB, params.queue_messages)
        self.events = EventLog()
        self.state = IDLE
        self._message = ""
        self._boot_id = os.urandom(8).hex()
        self._ranking, self._stamps = Ranking(), LogClock(clock)
        self._gate = self._new_gate()
        self._ready: deque[Item] = deque()
        self._compressed: dict[Topic, Topic] = {}
        self._writer: SessionWriter | None = None
        self._lost: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._synced_ns = self._looked_ns = self._retry_ns = 0
        self._slowest_sync_ms = 0.0
        self._free_bytes = -1

    def _new_gate(self) -> ImageGate:
        params = self.params
        return ImageGate(ImagePolicy(params.images), round(params.window_s * NS), params.ring_mb * _MIB)

    # The ROS thread

    def take(self, topic: Topic, data: bytes) -> None:
        """Accept one serialised message; constant time, touches no disk."""
        if self.state == IDLE:
            return
        rank = self._ranking.of(topic.type_name, data)
        if rank is Rank.VIOLATION and topic.type_name == CYCLE_TYPE:
            self.queue.promote(lambda item: self._ranking.belongs(item.topic.type_name, item.data))
        self.queue.put(Item(topic, data, self._stamps.stamp_ns(), rank))

    # The writer thread: verbs

    def start(self, *, insist: bool = False) -> str:
        """Begin a recording; returns its id. `insist`: a disk that refuses is asked again later.

        Raises Conflict when one is under way, Unavailable when the disk refuses.
        """
        if self.state != IDLE:
            raise Conflict(f"Recording {self._session_id} already: stop it first, or `split` for a new file.")
        self._gate, self._lost = self._new_gate(), Counter()
        self._before = Counter(self.queue.dropped)
        session_id = new_session_id(self._clock.wall_ns(), os.urandom(3))
        self._writer = SessionWriter(
            self._disk, self.root, session_id, clock=self._clock, give_index=self._give_index
        )
        try:
            self._need_space()
            self._writer.open()
            self._describe_session()
        except (OSError, Unavailable) as error:
            text = why(error, self.root)
            if not insist:
                self._writer = None
                raise Unavailable(text) from error
            self._degrade(error)
            return session_id
        self.state, self._message = RECORDING, ""
        self._synced_ns = self._looked_ns = self._clock.steady_ns()
        self.say(OK, f"Recording into {self._writer.folder}.")
        return session_id

    def stop(self, reason: str = "stop") -> str:
        """Write what came and end the recording; returns its id. Raises Conflict without one, Unavailable."""
        writer = self._need_writer()
        if self.state == DEGRADED:
            self._try_again()
        problem = self._message if self.state == DEGRADED else ""
        if not problem:
            try:
                self._drain_all()
                self._describe_session()
                writer.close(reason)
            except OSError as error:
                self._ready.clear()
                self._ready.extend(writer.failed())
                problem = why(error, self.root)
        self.state = IDLE
        self._forget_waiting()
        self._writer, self._message = None, problem
        if problem:
            self.say(ERROR, f"{problem} What was written of {writer.session_id} before is kept.", writer)
            raise Unavailable(f"{problem} What was written before is kept.")
        self.say(OK, f"Recording {writer.session_id} ended ({reason}).", writer)
        return writer.session_id

    def _forget_waiting(self) -> None:
        while (item := self._ready.popleft() if self._ready else self.queue.take()) is not None:
            self._lost[item.topic.name] += 1

    def _need_writer(self) -> SessionWriter:
        if self._writer is None:
            raise Conflict("Nothing is being recorded: start a recording first (`arena record start`).")
        return self._writer

    def split(self, reason: str = "split") -> str:
        """Go on in a new file; returns its name. Raises Conflict without a recording, Unavailable."""
        writer = self._need_writer()
        if self.state != RECORDING:
            raise Unavailable(self._message)
        try:
            self._drain_all()
            self._rotate(writer, reason)
        except OSError as error:
            self._degrade(error)
            raise Unavailable(self._message) from error
        return writer.file.path.name if writer.file else ""

    def snapshot(self) -> str:
        """Keep the pictures around now as if a violation had happened; returns the file's name. Raises as `split`."""
        writer = self._need_writer()
        if self.state != RECORDING or writer.file is None:
            raise Unavailable(self._message)
        try:
            self._drain_all()
            self._ready.extend(self._gate.open(self._stamps.last_ns))
            self._drain_all()
            writer.file.sync()
        except OSError as error:
            self._degrade(error)
            raise Unavailable(self._message) from error
        return writer.file.path.name

    # The writer thread: work

    def step(self) -> bool:
        """Write what came, sync, rotate and look after the disk as far as it is due; whether more is waiting."""
        if self._writer is None:
            return False
        if self.state == DEGRADED:
            self._try_again()
            return False
        try:
            more = self._drain()
            self._tend(self._writer)
            return more
        except OSError as error:
            self._degrade(error)
            return False

    def _drain(self) -> bool:
        for _ in range(_BATCH):
            if not self._ready:
                item = self.queue.take()
                if item is None:
                    return False
                self._ready.extend(self._prepare(item))
            elif self._writer is not None:
                self._write(self._writer, self._ready[0])
        return True

    def _drain_all(self) -> None:
        """Write what is there now; what comes meanwhile may wait."""
        for _ in range(1 + len(self._ready) + 2 * len(self.queue)):
            if not self._drain():
                return

    def _write(self, writer: SessionWriter, item: Item) -> None:
        try:
            writer.add(item)
        except NotFound as error:
            if item.topic.name not in self._lost:
                self.say(WARN, f"{item.topic.name} is not recorded. {error}")
            self._lost[item.topic.name] += 1
        self._ready.popleft()

    def _prepare(self, item: Item) -> list[Item]:
        if item.topic.type_name in IMAGE_TYPES:
            item = self._packed(item)
            return [item] if self._gate.offer(item) else []
        if item.topic.type_name == CYCLE_TYPE and len(item.data) > 4:
            return [item, *self._gate.on_cycle(item.data[4], item.log_ns)]
        return [item]

    def _packed(self, item: Item) -> Item:
        if item.topic.type_name != IMAGE or self.params.image_format != "jpeg":
            return item
        try:
            data = jpeg_twin(item.data, self.params.jpeg_quality)
        except InvalidInput:
            return item
        if data is None:
            return item
        topic = self._compressed.get(item.topic)
        if topic is None:
            topic = Topic(item.topic.name, COMPRESSED_IMAGE, item.topic.qos)
            self._compressed[item.topic] = topic
        return Item(topic, data, item.log_ns, item.rank)

    def _tend(self, writer: SessionWriter) -> None:
        now_ns, file = self._clock.steady_ns(), writer.file
        if file is None:
            return
        if now_ns - self._synced_ns >= self.params.sync_s * NS:
            self._synced_ns = now_ns
            if not file.is_synced:
                file.sync()
                taken_ms = (self._clock.steady_ns() - now_ns) / 1e6
                self._slowest_sync_ms = max(self._slowest_sync_ms, taken_ms)
        if self.params.rotate_mb and file.size >= self.params.rotate_mb * _MIB:
            self._rotate(writer, "size")
        elif self.params.rotate_s and writer.age_s() >= self.params.rotate_s:
            self._rotate(writer, "time")
        if now_ns - self._looked_ns >= _LOOK_S * NS:
            self._looked_ns = now_ns
            self._describe_session()
            self._mind_space()

    def _rotate(self, writer: SessionWriter, reason: str) -> None:
        self._describe_session()
        writer.close(reason)
        writer.open()

    def _describe_session(self) -> None:
        if self._writer is not None and self._writer.file is not None:
            self._writer.describe(self._describe(), self.dropped())

    # Trouble

    def _degrade(self, error: Exception) -> None:
        """The disk refused: keep what is not written, and ask it again later."""
        if self._writer is not None and self._writer.file is not None:
            unsaved = self._writer.failed()
            present = self._ready[0] if self._ready else None
            if present is not None and unsaved and unsaved[-1] is present:
                self._ready.popleft()
            self._ready.extendleft(reversed(unsaved))
        text = why(error, self.root)
        if self.state != DEGRADED or text != self._message:
            self.say(ERROR, f"{text} Trying again every {self.params.retry_s:g} s; control is not affected.")
        self.state, self._message = DEGRADED, text
        self._retry_ns = self._clock.steady_ns() + round(self.params.retry_s * NS)

    def _try_again(self) -> None:
        now_ns, writer = self._clock.steady_ns(), self._writer
        if writer is None or now_ns < self._retry_ns:
            return
        try:
            self._need_space()
            writer.open()
            writer.finish_broken()
            self._describe_session()
            # Not before what was kept is safe there: a full disk still takes an empty file.
            while self._ready:
                self._write(writer, self._ready[0])
            if writer.file is not None:
                writer.file.sync()
        except (OSError, Unavailable) as error:
            self._degrade(error)
            return
        self.state, self._message = RECORDING, ""
        self._synced_ns = self._looked_ns = now_ns
        self.say(OK, f"Recording again, into {writer.file.path.name if writer.file else ''}.")

    def _need_space(self) -> None:
        """Raises Unavailable when there is less free space than there must be, after deleting what may be deleted."""
        if self._is_roomy() or self._made_room():
            return
        raise Unavailable(
            f"Only {self._free_bytes // _MIB} MiB are free for {self.root}, {self.params.min_free_mb} are wanted: "
            "delete recordings, or lower min_free_mb."
        )

    def _is_roomy(self) -> bool:
        self._free_bytes = self._disk.free_bytes(self.root)
        return self._free_bytes >= self.params.min_free_mb * _MIB

    def _made_room(self) -> bool:
        if self.params.on_low_space != "delete_oldest":
            return False
        for name in make_room(self.root, self._is_roomy, keep=self._session_id):
            self.say(WARN, f"Deleted recording {name}, which holds no violation, to make room.")
        return self._is_roomy()

    def _mind_space(self) -> None:
        try:
            self._need_space()
        except Unavailable as error:
            with contextlib.suppress(ArenaError):
                self.stop("low_space")
            self._message = str(error)
            self.say(ERROR, f"Recording ended. {error}")

    def say(self, level: int, text: str, writer: SessionWriter | None = None) -> None:
        """Remember an event that a person should know."""
        writer = writer or self._writer
        self.events.add(self._clock.wall_ns() / NS, level, writer.session_id if writer else "", text)

    # The writer thread: what others may know

    @property
    def is_recording(self) -> bool:
        """Whether a recording is under way, degraded or not."""
        return self._writer is not None

    @property
    def _session_id(self) -> str:
        return self._writer.session_id if self._writer is not None else ""

    def dropped(self) -> dict[str, int]:
        """Messages per topic that this recording had to drop."""
        total = self._lost + Counter(self.queue.dropped)
        total.subtract(self._before)
        return {topic: count for topic, count in total.items() if count > 0}

    def status(self, skipped: Mapping[str, str] | None = None) -> RecorderStatus:
        """A snapshot; `skipped`: topic → why it is not recorded."""
        writer = self._writer
        file = writer.file if writer is not None else None
        common = RecorderStatus(
            arm=self._arm,
            boot_id=self._boot_id,
            state=self.state,
            message=self._message,
            images=self.params.images,
            dropped=self.dropped(),
            queue_messages=len(self.queue),
            queue_bytes=self.queue.bytes_held,
            queue_deepest=self.queue.deepest,
            free_bytes=self._free_bytes,
            slowest_sync_ms=round(self._slowest_sync_ms, 3),
            clock_jumps=self._stamps.jumps,
            skipped=dict(skipped or {}),
            events=self.events.all(),
        )
        if writer is None:
            return common
        tally = writer.tally()
        return replace(
            common,
            session_id=writer.session_id,
            folder=str(writer.folder),
            file=file.path.name if file is not None else "",
            file_count=writer.file_count,
            started_at_unix=writer.started_at_unix,
            messages=writer.messages,
            total_cycles=tally.total,
            violation_cycles=tally.violations,
            clamp_cycles=tally.clamps,
        )
