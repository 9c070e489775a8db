# SPDX-License-Identifier: Apache-2.0
"""Opening a WebSocket of the bridge, and how long to wait before the next try. websockets is imported when needed."""

import random
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lerobot_arena.client import failures
from lerobot_arena.client.connection import Connection
from lerobot_arena.core.errors import ArenaError, NotAnswering, TooMany, Unavailable

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

OPEN_TIMEOUT_S = 5.0
# A peer that vanished without a word is noticed after both.
PING_EVERY_S = 3.0
PONG_WITHIN_S = 4.0
_MOST_BYTES = 16 * 2**20
# Messages that wait in this process; behind them TCP holds the server back, and the server keeps only what is newest.
_MOST_WAITING = 8
_MOST_UNSENT = 8192


async def open_socket(
    connection: Connection, path: str, query: Mapping[str, Any] | None = None
) -> "ClientConnection":
    """An open socket. Raises Unavailable, NotAnswering or TooMany, which may pass, or what the bridge refused with."""
    from websockets.asyncio import client
    from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

    class Connect(client.connect):
        """A redirect would lead, with the token, to a host that nobody chose or allowed."""

        def process_redirect(self, exc: Exception) -> Exception:
            return exc

    url = connection.socket_url(path, query)
    context = connection.ssl_context()
    security: dict[str, Any] = {"ssl": context} if context is not None else {}
    try:
        opened = await Connect(
            url,
            additional_headers=connection.headers(),
            proxy=True if connection.trusts_environment else None,
            compression=None,
            open_timeout=OPEN_TIMEOUT_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=PONG_WITHIN_S,
            close_timeout=1.0,
            max_size=_MOST_BYTES,
            max_queue=_MOST_WAITING,
            write_limit=_MOST_UNSENT,
            **security,
        )
        _keep_short(opened)
        return opened
    except InvalidStatus as error:
        found = error.response
        raise failures.failure_of(found.status_code, bytes(found.body or b""), dict(found.headers)) from error
    except TimeoutError as error:
        raise failures.late(url, OPEN_TIMEOUT_S) from error
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise failures.unreachable(connection.url, error) from error


def _keep_short(opened: "ClientConnection") -> None:
    """What the kernel holds unsent on a stalled link arrives late; what waits here is replaced by what is newer."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    found = opened.transport.get_extra_info("socket")
    if option is not None and found is not None:
        found.setsockopt(socket.IPPROTO_TCP, option, _MOST_UNSENT)


def may_pass(error: ArenaError) -> bool:
    """Whether trying again later makes sense: nobody there, too busy, or an error of the bridge's own."""
    return isinstance(error, Unavailable | NotAnswering | TooMany) or type(error) is ArenaError


class Backoff:
    """Pauses between tries: longer each time, never in step with other clients, short again after a success."""

    def __init__(self, first_s: float = 0.2, longest_s: float = 5.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def pause_s(self, error: ArenaError | None = None) -> float:
        """Seconds until the next try."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._longest_s)
        return max(wait_s, error.retry_after_s) if isinstance(error, TooMany) else wait_s

    def succeeded(self) -> None:
        """A connection stood."""
        self._next_s = self._first_s
