# SPDX-License-Identifier: Apache-2.0
"""Calls over httpx, blocking or awaited. httpx is imported with the first call that needs it."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from lerobot_arena.client import failures
from lerobot_arena.client.call import CONNECT_TIMEOUT_S, Answer, Call
from lerobot_arena.client.connection import KEEPALIVE_S, Body, Connection, pause_s, value_of
from lerobot_arena.client.urgent import send_urgent, send_urgent_async
from lerobot_arena.core.errors import ArenaError

if TYPE_CHECKING:
    import httpx

_MOST_CONNECTIONS = 32


class BlockingTransport:
    """Safe on any thread."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._http: httpx.Client | None = None

    def send[T](self, call: Call[T], /) -> T:
        """Raises the ArenaError that the answer, or its absence, stands for."""
        if call.is_urgent:
            return send_urgent(self.connection, call)
        tries = 0
        while True:
            url, answer = self._ask(call)
            tries += 1
            if (wait_s := pause_s(call, tries, answer)) is None:
                return value_of(call, url, answer)
            # As long as the answer's Retry-After says.
            time.sleep(wait_s)

    @contextmanager
    def stream(self, call: Call[Any], headers: dict[str, str]) -> Iterator["httpx.Response"]:
        """An answer whose bytes are still to come."""
        with ExitStack() as files, _translated(self.connection, call):
            request = _request(self.connection, call, headers, files)
            with self._client().stream(**request) as response:
                yield response

    def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _ask(self, call: Call[Any]) -> tuple[str, Answer]:
        with self.stream(call, {}) as response:
            body = Body(str(response.url), call.timeout_s)
            for part in response.iter_bytes():
                body.add(part)
            return str(response.url), Answer(response.status_code, response.headers, body.whole)

    def _client(self) -> "httpx.Client":
        if self._http is None:
            import httpx

            self._http = httpx.Client(**_options(self.connection))
        return self._http


class AwaitingTransport:
    """For one event loop."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._http: httpx.AsyncClient | None = None

    async def send[T](self, call: Call[T], /) -> T:
        """Raises the ArenaError that the answer, or its absence, stands for."""
        if call.is_urgent:
            return await send_urgent_async(self.connection, call)
        import asyncio

        tries = 0
        while True:
            url, answer = await self._ask(call)
            tries += 1
            if (wait_s := pause_s(call, tries, answer)) is None:
                return value_of(call, url, answer)
            await asyncio.sleep(wait_s)

    @asynccontextmanager
    async def stream(self, call: Call[Any], headers: dict[str, str]) -> AsyncIterator["httpx.Response"]:
        """An answer whose bytes are still to come."""
        with ExitStack() as files, _translated(self.connection, call):
            request = _request(self.connection, call, headers, files)
            async with self._client().stream(**request) as response:
                yield response

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _ask(self, call: Call[Any]) -> tuple[str, Answer]:
        async with self.stream(call, {}) as response:
            body = Body(str(response.url), call.timeout_s)
            async for part in response.aiter_bytes():
                body.add(part)
            return str(response.url), Answer(response.status_code, response.headers, body.whole)

    def _client(self) -> "httpx.AsyncClient":
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(**_options(self.connection))
        return self._http


def _options(connection: Connection) -> dict[str, Any]:
    import httpx

    context = connection.ssl_context()
    return {
        "trust_env": connection.trusts_environment,
        # Plain http verifies nothing: reading the machine's certificates takes a while, and fails without them.
        "verify": context or False,
        "follow_redirects": False,
        "limits": httpx.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=KEEPALIVE_S),
    }


def _request(
    connection: Connection, call: Call[Any], headers: dict[str, str], files: ExitStack
) -> dict[str, Any]:
    """What httpx is told; what it reads from is open until `files` ends."""
    import httpx

    content = call.content()
    form = call.form.opened(files) if call.form is not None else {}
    kind = {"Content-Type": "application/json"} if content is not None else {}
    return {
        "method": call.method,
        "url": connection.url_of(call),
        "content": content,
        "headers": {**connection.headers(), **kind, **headers},
        "timeout": httpx.Timeout(call.timeout_s, connect=_connect_s(call)),
        **form,
    }


def _connect_s(call: Call[Any]) -> float:
    return min(call.timeout_s, CONNECT_TIMEOUT_S)


@contextmanager
def _translated(connection: Connection, call: Call[Any]) -> Iterator[None]:
    """httpx's errors as ours."""
    import httpx

    try:
        yield
    except ArenaError:
        raise
    except httpx.ConnectTimeout as error:
        raise failures.late(connection.url, _connect_s(call)) from error
    except httpx.TimeoutException as error:
        raise failures.late(connection.url_of(call), call.timeout_s) from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise failures.unreachable(connection.url, error) from error
    except httpx.InvalidURL as error:
        raise failures.not_a_bridge(connection.url) from error
