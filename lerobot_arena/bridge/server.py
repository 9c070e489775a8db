# SPDX-License-Identifier: Apache-2.0
"""uvicorn as this package runs it: signals stay with the process, WebSockets uncompressed, no access log."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from lerobot_arena.bridge.bounded_socket import MAX_MESSAGE, PING_S, PONG_S, BoundedWebSocket
from lerobot_arena.bridge.connections import Door, lift_file_limit, protocol_with
from lerobot_arena.bridge.logs import RingHandler, RingLog
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.errors import Unavailable

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn would raise a caught signal again at its end, and the process would not exit 0."""
        yield


def open_socket(settings: Settings) -> socket.socket:
    """The listening socket. Raises Unavailable when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.bridge_host else socket.AF_INET
    # Named, because asyncio turns off Nagle's delay only for sockets of this protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.bridge_host, settings.bridge_port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"Port {settings.bridge_port} of {settings.bridge_host} cannot be used ({error.strerror}): another "
            "program listens on it. Stop it, or choose another with ARENA_BRIDGE_PORT or --port."
        ) from error
    listener.set_inheritable(True)
    return listener


def set_up_logging(ring: RingLog) -> None:
    """This process's log goes to stderr and into the ring."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("[%(levelname)s] %(name)s: %(message)s"))
    root.handlers[:] = [console, RingHandler(ring)]
    for noisy in ("alembic", "httpx", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    # What strangers can cause as often as they like: a refused WebSocket (which uvicorn 0.54 takes for an error of the
    # app's), and bytes that are no HTTP, or no text.
    return record.getMessage() not in {
        "ASGI callable returned without completing handshake.",
        "Invalid HTTP request received.",
        "Invalid UTF-8 sequence received from client.",
    }


def ending_signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM from now on."""
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    return ending


def warnings_of(settings: Settings) -> list[str]:
    """What a person who opens the bridge to others has to know."""
    found = []
    if settings.is_beyond_loopback and settings.tls_cert is None and not settings.behind_proxy:
        found.append(
            f"Other machines reach this bridge at {settings.bridge_host} over plain HTTP: whoever is on the network "
            "reads passwords and tokens along, and can use them. Set ARENA_TLS_CERT and ARENA_TLS_KEY, or listen on "
            "loopback and use an SSH tunnel or a proxy with TLS."
        )
    if settings.behind_proxy and settings.is_beyond_loopback:
        found.append(
            "ARENA_BEHIND_PROXY is set and the port is open to others as well: whoever reaches it past the proxy "
            "chooses the address that limits and the audit log see. Let only the proxy reach it."
        )
    return found


def loopback_beside(settings: Settings, port: int) -> socket.socket | None:
    """A second socket, on loopback, for a bridge that listens on one address of a network: the e-stop is always near.

    None where the first one covers loopback as well, or when another program has that port.
    """
    if not settings.is_beyond_loopback or settings.bridge_host in {"0.0.0.0", "::"}:
        return None
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        _log.warning(
            "Port %s of 127.0.0.1 is taken (%s): this machine has no way in of its own.", port, error
        )
        return None
    return listener


def _server(app: FastAPI, settings: Settings, door: Door, *, has_tls: bool) -> _Server:
    """Raises Unavailable when the certificate cannot be used."""
    config = uvicorn.Config(
        app,
        http=protocol_with(door),
        # uvicorn would believe any X-Forwarded-For that comes from loopback; bridge/callers.py decides that.
        proxy_headers=False,
        ssl_certfile=settings.tls_cert if has_tls else None,
        ssl_keyfile=settings.tls_key if has_tls else None,
        log_config=None,
        access_log=False,
        ws_per_message_deflate=False,
        ws=BoundedWebSocket,
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        server_header=False,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    try:
        config.load()
    except OSError as error:
        raise Unavailable(
            f"TLS with {settings.tls_cert} and {settings.tls_key} does not work ({error}): both must be PEM files that "
            "belong together."
        ) from error
    return _Server(config)


async def serve(
    app: FastAPI, listener: socket.socket, ending: asyncio.Event, *, door: Door | None = None
) -> None:
    """Serve an app on a socket until `ending` is set, then finish what is under way."""
    settings: Settings = app.state.services.settings
    lift_file_limit()
    door = door or Door(behind_proxy=settings.behind_proxy)
    address = listener.getsockname()
    try:
        servers = [(_server(app, settings, door, has_tls=settings.tls_cert is not None), listener)]
    except Unavailable:
        listener.close()
        raise
    if (beside := loopback_beside(settings, address[1])) is not None:
        servers.append((_server(app, settings, door, has_tls=False), beside))
    _log.info("Listening on %s://%s:%s, page at /ui, API at /docs", settings.scheme, address[0], address[1])
    for warning in warnings_of(settings):
        _log.warning(warning)
    serving = {asyncio.create_task(server.serve(sockets=[taken])) for server, taken in servers}
    waiting = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait({*serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*serving)
    finally:
        # uvicorn leaves them open when it is told to end before it has begun.
        for _, taken in servers:
            taken.close()
