# SPDX-License-Identifier: Apache-2.0
"""A robotics room of the real bridge beside a bare `websockets` fan-out: one producer, ten consumers, one stuck.

Joint updates of six joints; every latency is producer → consumer on one clock, all clients in one process of their own.
`python bench/rooms.py [seconds] [rate_hz]`
"""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import orjson
import psutil
from report import percentiles_ms, show
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

CONSUMERS = 10
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
WARM_UP_S = 1.0
DOMAIN = "63"


async def bare(port: int) -> None:
    """The floor: what the producer says goes to all others, and nothing else is done."""
    from websockets.asyncio.server import broadcast

    consumers: set[ServerConnection] = set()

    async def handle(client: ServerConnection) -> None:
        role = orjson.loads(await client.recv())["role"]
        await client.send('{"type":"joined"}')
        if role == "consumer":
            consumers.add(client)
            await client.wait_closed()
            consumers.discard(client)
        else:
            # A producer goes without a farewell when its process ends.
            with suppress(ConnectionClosed):
                async for message in client:
                    broadcast(consumers, message)

    async with serve(handle, "127.0.0.1", port, compression=None):
        await asyncio.Event().wait()


async def join(url: str, role: str, name: str) -> ClientConnection:
    client = await connect(url, compression=None, ping_interval=None, max_queue=16)
    await client.send(json.dumps({"participant_id": name, "role": role}))
    while orjson.loads(await client.recv())["type"] != "joined":
        continue
    return client


async def produce(client: ClientConnection, rate_hz: float, seconds: float) -> int:
    begin, sent = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        await asyncio.sleep(max(begin + sent / rate_hz - time.monotonic(), 0))
        data = [{"name": name, "value": sent % 90 + 0.5} for name in JOINTS]
        await client.send(
            orjson.dumps(
                {"type": "joint_update", "data": data, "stamp_mono_ns": time.monotonic_ns()}
            ).decode()
        )
        sent += 1
    return sent


async def consume(client: ClientConnection, delays: list[float], begin_ns: int) -> None:
    async for text in client:
        now_ns = time.monotonic_ns()
        stamp_ns = orjson.loads(text).get("stamp_mono_ns", 0)
        if stamp_ns > begin_ns:
            delays.append((now_ns - stamp_ns) / 1e9)


async def measure(
    name: str, url: str, pid: int, *, stuck: int, seconds: float, rate_hz: float
) -> dict[str, object]:
    """One row. A stuck consumer never reads after `joined`."""
    consumers = [await join(url, "consumer", f"c{index}") for index in range(CONSUMERS - stuck)]
    silent = [await join(url, "consumer", f"stuck{index}") for index in range(stuck)]
    for client in silent:
        client.transport.pause_reading()
    producer = await join(url, "producer", "p")
    server = psutil.Process(pid)
    delays: list[float] = []
    begin_ns = time.monotonic_ns() + round(WARM_UP_S * 1e9)
    reading = [asyncio.create_task(consume(client, delays, begin_ns)) for client in consumers]
    gc.disable()
    rss, cpu_s, begin = server.memory_info().rss, sum(server.cpu_times()[:2]), time.monotonic()
    sent = await produce(producer, rate_hz, seconds + WARM_UP_S)
    await asyncio.sleep(0.2)
    gc.enable()
    spent_s = time.monotonic() - begin
    expected = round(sent * seconds / (seconds + WARM_UP_S)) * len(consumers)
    row: dict[str, object] = {
        "server": name,
        "stuck": stuck,
        **percentiles_ms(delays),
        "delivered_%": min(100.0, 100.0 * len(delays) / expected),
        "cpu_%": 100 * (sum(server.cpu_times()[:2]) - cpu_s) / spent_s,
        "grown_MiB": (server.memory_info().rss - rss) / 2**20,
    }
    for client in (*consumers, *silent, producer):
        client.transport.abort()
    await asyncio.gather(*reading, return_exceptions=True)
    await asyncio.sleep(0.5)
    return row


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def process(*arguments: str, port: int, **environment: str) -> AsyncIterator[int]:
    """A server on `port`, by its process id."""
    started = subprocess.Popen(  # noqa: ASYNC220  nothing else runs yet
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=2
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await asyncio.sleep(0.1)
        yield started.pid
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(20)


async def main(seconds: float, rate_hz: float) -> None:
    rows = []
    plain, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("-m", "lerobot_arena.bridge.node", "--ros-args", "-p", f"port:={port}")
        async with (
            process(__file__, "--bare", str(plain), port=plain) as bare_pid,
            process(*arguments, port=port, ARENA_DATA_DIR=folder, ROS_DOMAIN_ID=DOMAIN) as bridge_pid,
        ):
            base = f"127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=f"http://{base}") as http:
                made = await http.post("/robotics/workspaces/bench/rooms", json={"room_id": "joints"})
                made.raise_for_status()
            url = f"ws://{base}/robotics/workspaces/bench/rooms/joints/ws"
            await asyncio.sleep(1.0)
            for stuck in (0, 1):
                for name, address, pid in (
                    ("bare websockets", f"ws://127.0.0.1:{plain}", bare_pid),
                    ("room of the bridge, and its ROS topic", url, bridge_pid),
                ):
                    rows.append(
                        await measure(name, address, pid, stuck=stuck, seconds=seconds, rate_hz=rate_hz)
                    )
    notes = [
        "A bare fan-out buffers for the stuck consumer without bound; the room keeps its newest state only."
    ]
    show(f"{rate_hz:g} Hz of {len(JOINTS)} joints to {CONSUMERS} consumers", rows, notes)


if __name__ == "__main__":
    if "--bare" in sys.argv:
        asyncio.run(bare(int(sys.argv[sys.argv.index("--bare") + 1])))
    else:
        numbers = [float(part) for part in sys.argv[1:] if not part.startswith("-")]
        asyncio.run(main(*(numbers + [10.0, 200.0][len(numbers) :])))
