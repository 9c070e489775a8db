# SPDX-License-Identifier: Apache-2.0
"""One telemetry client: what it asked for, what is put into its outbox, and the loop that empties it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from lerobot_arena.bridge.arms import cameras_of
from lerobot_arena.bridge.cycle_event import cycle_event
from lerobot_arena.bridge.feed import CycleItem
from lerobot_arena.bridge.frames import pack_frame, pack_frame_with_cycle
from lerobot_arena.bridge.outbox import Outbox, with_field
from lerobot_arena.bridge.services import Services
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.verdict import Decision

_log = logging.getLogger(__name__)

PING_S = 30.0
FRAMES_V2 = "v2"
_PING = '{"type":"ping"}'


@dataclass(frozen=True, slots=True)
class TelemetryQuery:
    """A client's wishes, checked: camera name → topic, frames a second, cycles a second (None: each)."""

    arm: str
    cameras: dict[str, str]
    fps: float
    rate_hz: float | None
    with_perf: bool
    frames: str

    @classmethod
    def checked(
        cls,
        services: Services,
        name: str,
        *,
        rate_hz: float | None,
        cameras: str | None,
        fps: float,
        perf: bool,
        frames: str,
    ) -> "TelemetryQuery":
        """Of the arm called `name`. Raises InvalidInput or Unavailable saying what there is."""
        if services.feed.watcher_count >= services.settings.max_watchers:
            raise Unavailable(f"{services.feed.watcher_count} clients watch already (ARENA_MAX_WATCHERS).")
        known = cameras_of(name, services.board.facts(name), services.book.of_arm(name))
        asked = list(known) if cameras is None else [part for part in cameras.split(",") if part]
        if unknown := [camera for camera in asked if camera not in known]:
            raise InvalidInput(
                f"Arm {name!r} has no camera {unknown[0]!r}. It has: {', '.join(known) or 'none'}."
            )
        with_perf = perf or services.settings.metrics
        return cls(name, {camera: known[camera] for camera in asked}, fps, rate_hz, with_perf, frames)


class CyclePacer:
    """Thins cycles to a rate, but lets through every cycle that says something new of the guard."""

    def __init__(self, rate_hz: float | None) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz else 0.0
        self._due_at = 0.0
        self._last = (Decision.PASS, "", "")

    def wants(self, record: CycleRecord, now_s: float) -> bool:
        """Whether this cycle goes out; `now_s` on any steady clock."""
        said = (record.decision, record.state, record.reaction)
        is_news = said != self._last or record.decision >= Decision.REJECT
        if not is_news and now_s < self._due_at:
            return False
        self._last = said
        # Counted from the due time, so that 20 of 50 Hz are 20 and not every third.
        self._due_at = max(self._due_at + self._period_s, now_s)
        return True


def renderer(services: Services, cameras: Sequence[str]) -> Callable[[CycleRecord, str, bool], str]:
    """Makes an event's text of a cycle."""

    def render(record: CycleRecord, arm: str, with_perf: bool) -> str:
        seen = services.board.facts(arm).task
        task = seen.value if seen is not None else None
        event = cycle_event(record, arm, cameras=cameras, task=task, with_perf=with_perf)
        return orjson.dumps(event).decode()

    return render


def readable_texts(
    items: Sequence[CycleItem], render: Callable[[CycleRecord, str, bool], str], *, with_perf: bool
) -> list[str]:
    """The events of those that can be read."""
    texts = []
    for item in items:
        try:
            texts.append(item.text(render, with_perf=with_perf))
        except ValueError as error:
            _log.warning("A cycle of arm %s could not be read: %s", item.arm, error)
    return texts


async def serve_telemetry(socket: WebSocket, services: Services, query: TelemetryQuery) -> None:
    """Until the client leaves. The outbox is all that a slow client holds back."""
    outbox = Outbox()
    pacer = CyclePacer(query.rate_hz)
    loop = asyncio.get_running_loop()
    known = cameras_of(query.arm, services.board.facts(query.arm), services.book.of_arm(query.arm))
    render = renderer(services, list(known))
    is_live = False

    def on_cycle(item: CycleItem) -> None:
        if not is_live:
            outbox.put_event(with_field(item.text(render, with_perf=query.with_perf), '"replay":true'))
        elif pacer.wants(item.record, loop.time()):
            outbox.put_event(item.text(render, with_perf=query.with_perf), cycle_id=item.record.cycle_id)

    with ExitStack() as watching:
        watching.callback(services.feed.watch(query.arm, on_cycle))
        is_live = True
        watching.callback(services.outboxes.discard, outbox)
        services.outboxes.add(outbox)
        for camera, topic in query.cameras.items():
            watching.callback(services.frames.watch(camera, topic, outbox, fps=query.fps))
        tasks = [
            asyncio.create_task(_send(socket, outbox, query.frames)),
            asyncio.create_task(_until_gone(socket)),
            asyncio.create_task(_ping(outbox)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket, outbox: Outbox, frames: str) -> None:
    """Empty the outbox at the client's speed; behind a live cycle's event come its frames."""
    try:
        while True:
            event, pictures = await outbox.take()
            await socket.send_text(event.text)
            for camera, jpeg in pictures.items():
                if frames == FRAMES_V2:
                    await socket.send_bytes(pack_frame_with_cycle(camera, jpeg, event.cycle_id or 0))
                else:
                    await socket.send_bytes(pack_frame(camera, jpeg))
    except (WebSocketDisconnect, RuntimeError):
        return  # Starlette's two ways of saying that the client has gone


async def _until_gone(socket: WebSocket) -> None:
    """Read and drop what the client says; it has nothing to say here."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue


async def _ping(outbox: Outbox) -> None:
    while True:
        await asyncio.sleep(PING_S)
        outbox.put_event(_PING)
