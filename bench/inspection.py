# SPDX-License-Identifier: Apache-2.0
"""The Foxglove server behind its gate beside the bare foxglove-sdk server, with and without clients that never read.

Two 640×480 cameras at 30 fps and 120 small messages a second, from a process of its own; one client reads everything.
`python bench/inspection.py [seconds]`
"""

import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection

import psutil
from report import percentiles_ms, show

from lerobot_arena.inspection.audience import Audience
from lerobot_arena.inspection.gate import Gate
from lerobot_arena.inspection.live import LiveServer, Wiring
from lerobot_arena.inspection.params import InspectionParams
from lerobot_arena.recording.schemas import Definition
from lerobot_arena.testing.foxglove_client import FoxgloveClient

SDK_BACKLOG = 1024
PICTURE, SMALL = 921_638, 2_000
CAMERAS, OTHERS = ("/front", "/wrist"), ("/cycle", "/joints")
RATE_HZ = 60.0


def serve(told: Connection, *, gated: bool) -> None:
    """Publish until the other end closes: cameras in every second turn, small messages in most."""
    params = InspectionParams()
    wiring = Wiring(Audience(lambda: None), dict, lambda name: b"")
    live = LiveServer("bench", wiring, backlog=params.backlog if gated else SDK_BACKLOG)
    address = live.address, live.port
    if gated:
        gate = Gate(
            ("127.0.0.1", 0), address, origins=params.origins, max_clients=params.max_clients, stall_s=600.0,
            on_refusal=print,
        )  # fmt: skip
        address = "127.0.0.1", gate.port
    for topic in (*CAMERAS, *OTHERS):
        live.offer(topic, Definition("std_msgs/msg/String", "string data", ""))
    told.send(address)
    picture, small = os.urandom(PICTURE), os.urandom(SMALL)
    begin, turn = time.monotonic(), 0
    while not told.poll():
        for topic in (*(CAMERAS if turn % 2 else ()), *OTHERS):
            live.log(topic, picture if topic in CAMERAS else small, time.time_ns())
        turn += 1
        # The rate of a real recording, kept from the first turn on.
        time.sleep(max(0.0, begin + turn / RATE_HZ - time.monotonic()))
    os._exit(0)  # a client that never reads would be waited for


def measure(*, gated: bool, stuck: int, seconds: float) -> dict[str, object]:
    """One row."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), kwargs={"gated": gated}, daemon=True)
    process.start()
    host, port = ours.recv()
    reader = FoxgloveClient(port, host=host)
    watches = [reader.watch(topic) for topic in (*CAMERAS, *OTHERS)]
    reader.read_for(2.0)
    child = psutil.Process(process.pid)
    before_mib = child.memory_info().rss / 2**20
    others = [FoxgloveClient(port, host=host) for _ in range(stuck)]
    for other in others:
        for topic in (*CAMERAS, *OTHERS):
            other.watch(topic)
    delays: list[float] = []
    counts = [watch.count for watch in watches]
    cpu_s, begin = sum(child.cpu_times()[:2]), time.monotonic()
    while time.monotonic() - begin < seconds:
        seen = [watch.count for watch in watches]
        reader.read(0.1)
        for watch, count in zip(watches, seen):
            if watch.count > count:
                delays.append((time.time_ns() - watch.messages[-1][0]) / 1e9)
    spent_s = time.monotonic() - begin
    sent = spent_s * RATE_HZ  # pictures: two in every second turn
    pictures, small = (sum(w.count - c for w, c in pairs) for pairs in _halves(watches, counts))
    row = {
        "server": f"ours, backlog {InspectionParams().backlog}"
        if gated
        else f"bare SDK, backlog {SDK_BACKLOG}",
        "never_read": stuck,
        "pictures_%": 100 * pictures / sent,
        "small_%": 100 * small / (2 * sent),
        **{key: value for key, value in percentiles_ms(delays).items() if key in {"p50_ms", "p99_ms"}},
        "cpu_%": 100 * (sum(child.cpu_times()[:2]) - cpu_s) / spent_s,
        "grown_mib": child.memory_info().rss / 2**20 - before_mib,
    }
    ours.close()
    for client in (reader, *others):
        client.vanish()
    process.kill()
    process.join()
    return row


def _halves(watches: list, counts: list[int]) -> list[list]:
    pairs = list(zip(watches, counts))
    return [pairs[: len(CAMERAS)], pairs[len(CAMERAS) :]]


def main() -> None:
    seconds = float(next((text for text in sys.argv[1:] if not text.startswith("-")), 10))
    rows = [measure(gated=gated, stuck=stuck, seconds=seconds) for stuck in (0, 2) for gated in (False, True)]
    show(
        "Foxglove: 2 cameras of 640×480 at 30 fps and 120 small messages a second",
        rows,
        [
            "% of what was due. Delay: from the server's log to the client that reads. CPU and memory: the server's."
        ],
    )


if __name__ == "__main__":
    main()
