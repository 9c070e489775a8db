# SPDX-License-Identifier: Apache-2.0
"""A bad network for tests: a program in a network namespace of its own, behind delay, loss and stalls.

Two TUN devices, one on each side, and a thread that carries IP packets between them; so TCP on both ends is the
kernel's own and really retransmits. Needs root (CAP_NET_ADMIN) and /dev/net/tun; `missing()` says what is not there.
"""

import fcntl
import heapq
import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LONGEST_PACKET = 65536
_DEVICE = Path("/dev/net/tun")


@cache
def missing() -> str:
    """Why there can be no bad link on this machine; empty when there can. Both its parts are tried."""
    absent = [name for name in ("ip", "unshare") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} are not installed"
    try:
        os.close(_make_tun(""))
        subprocess.run(["unshare", "--net", "true"], check=True, capture_output=True, text=True)
    except OSError as error:
        return f"no TUN device: {error}"
    except subprocess.CalledProcessError as error:
        return f"no network namespace: {error.stderr.strip()}"
    return ""


def _make_tun(name: str) -> int:
    """Without a name the kernel chooses one. Raises OSError."""
    device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(device)
        raise
    return device


def _open_tun(name: str, address: str, peer: str) -> int:
    device = _make_tun(name)
    for command in (
        ["ip", "addr", "add", address, "peer", peer, "dev", name],
        ["ip", "link", "set", name, "mtu", "1400", "up"],
    ):
        subprocess.run(command, check=True)
    return device


@dataclass(slots=True)
class Weather:
    """What the link does to packets; may be changed at any time."""

    delay_s: float = 0.1
    loss: float = 0.02
    is_stalled: bool = False


class BadLink:
    """This machine is `here`, the program behind the link sees itself as `there`. Close it at the end."""

    def __init__(self, number: int, *, delay_s: float = 0.1, loss: float = 0.02, seed: int = 1) -> None:
        """`number` (1 to 250) keeps links of one machine apart; `delay_s` is one way, `loss` a share of packets."""
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"
        self.weather = Weather(delay_s, loss)
        self.carried = self.lost = 0
        self._random = random.Random(seed)
        self._near = _open_tun(f"badlink{number}", self.here, self.there)
        self._far: int | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="bad-link", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "BadLink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the one program that lives behind the link."""
        if self._process is not None:
            raise ValueError("A bad link has one program behind it.")
        mine, theirs = socket.socketpair()
        inner = [sys.executable, "-m", __name__, str(theirs.fileno()), self.there, self.here, *command]
        with mine, theirs:
            self._process = subprocess.Popen(
                ["unshare", "--net", *inner], pass_fds=[theirs.fileno()], env=env, stdout=stdout
            )
            theirs.close()
            mine.settimeout(20)
            _, fds, _, _ = socket.recv_fds(mine, 1, 1)
        if not fds:
            raise RuntimeError("The program behind the bad link ended before it began.")
        self._far = fds[0]
        os.set_blocking(self._far, False)
        self._thread.start()
        return self._process

    def close(self) -> None:
        """End the program and the link."""
        self._ending.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._thread.is_alive():
            self._thread.join()
        for device in (self._near, self._far):
            if device is not None:
                os.close(device)

    def _carry(self) -> None:
        assert self._far is not None
        other = {self._near: self._far, self._far: self._near}
        under_way: list[tuple[float, int, int, bytes]] = []
        number = 0
        with selectors.DefaultSelector() as ready:
            for device in other:
                ready.register(device, selectors.EVENT_READ)
            while not self._ending.is_set():
                wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else 0.05
                for key, _ in ready.select(min(wait_s, 0.05)):
                    packet = os.read(key.fd, _LONGEST_PACKET)
                    if self.weather.is_stalled or self._random.random() < self.weather.loss:
                        self.lost += 1
                        continue
                    number += 1
                    due = time.monotonic() + self.weather.delay_s
                    heapq.heappush(under_way, (due, number, other[key.fd], packet))
                while under_way and under_way[0][0] <= time.monotonic():
                    self._deliver(*heapq.heappop(under_way)[2:])

    def _deliver(self, device: int, packet: bytes) -> None:
        try:
            os.write(device, packet)
            self.carried += 1
        except OSError:  # the far side's device has gone, or its queue is full: that is loss
            self.lost += 1


def _behind(arguments: Sequence[str]) -> None:
    """In the new namespace: make the device, hand it over, become the program."""
    channel, there, here, *command = arguments
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    device = _open_tun("far", there, here)
    with socket.socket(fileno=int(channel)) as mine:
        socket.send_fds(mine, [b"t"], [device])
    os.close(device)
    os.execvp(command[0], command)  # the link's other end; its arguments come from a test


if __name__ == "__main__":
    _behind(sys.argv[1:])
