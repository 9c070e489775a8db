# SPDX-License-Identifier: Apache-2.0
"""A server that answers each request with the bytes a test wrote down, or with none."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

Reply = Callable[[bytes], bytes | None]


class RawServer:
    """Answers each request with what `reply` makes of it; None: never."""

    def __init__(self, reply: Reply, tls: SSLContext | None = None) -> None:
        self.reply, self.requests, self._tls = reply, [b""][:0], tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.trickle = b""
        self._is_closed = False
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(peer)
            if self._is_closed:
                peer.close()
                return
            threading.Thread(target=self._greet, args=(peer,), daemon=True).start()

    def _greet(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):  # whoever distrusts the certificate goes away
            self._serve(self._tls.wrap_socket(peer, server_side=True) if self._tls else peer)

    def _serve(self, peer: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (part := peer.recv(65536)):
                return
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        while len(body) < length:
            body += peer.recv(65536)
        self.requests.append(data)
        if (answer := self.reply(data)) is not None:
            with contextlib.suppress(OSError):
                peer.sendall(answer)
                while self.trickle:
                    peer.sendall(self.trickle)
                    time.sleep(0.02)  # a peer that trickles is the fault
            peer.close()

    def close(self) -> None:
        """End it, and what it holds open."""
        self._is_closed = True
        # Closing alone leaves the thread in accept for ever.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._open:
            peer.close()


def answer(status: int, body: Any = None, headers: str = "") -> bytes:
    """A whole answer; what is no bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
        + data
    )
