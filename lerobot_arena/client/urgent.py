# SPDX-License-Identifier: Apache-2.0
"""The e-stop's way: standard library only, a connection of its own, no pool, no proxy on loopback."""

import threading
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from lerobot_arena.client import failures
from lerobot_arena.client.call import Answer, Call
from lerobot_arena.client.connection import MOST_BYTES, Connection, value_of
from lerobot_arena.core.errors import InvalidInput, Unauthorized


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would take the token elsewhere, and make a POST a GET."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def send_urgent[T](connection: Connection, call: Call[T]) -> T:
    """Send a call at once. A token that ran out or cannot be sent is left out on loopback, where none is needed."""
    try:
        return _send(connection, call, connection.headers())
    except (Unauthorized, InvalidInput):
        if not connection.token or connection.trusts_environment:
            raise
        return _send(connection, call, {})


async def send_urgent_async[T](connection: Connection, call: Call[T]) -> T:
    """The same in a thread of its own: the pool of threads may be busy, and the loop must not wait."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error is not None else done.set_result(value)

    def work() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = send_urgent(connection, call), None
        except Exception as error:  # handed to whoever awaits
            outcome = None, error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="estop", daemon=True).start()
    return await done


def _send[T](connection: Connection, call: Call[T], headers: dict[str, str]) -> T:
    url, content = connection.url_of(call), call.content()
    if content is not None:
        headers = {**headers, "Content-Type": "application/json"}
    request = Request(url, data=content, headers=headers, method=call.method)
    handlers: list[Any] = [_NoRedirect()]
    if not connection.trusts_environment:
        handlers.append(ProxyHandler({}))
    if (context := connection.ssl_context()) is not None:
        handlers.append(HTTPSHandler(context=context))
    try:
        with build_opener(*handlers).open(request, timeout=call.timeout_s) as found:
            answer = Answer(found.status, dict(found.headers), found.read(MOST_BYTES))
    except HTTPError as error:
        with error:
            answer = Answer(error.code, dict(error.headers), error.read(MOST_BYTES))
    except TimeoutError as error:
        raise failures.late(url, call.timeout_s) from error
    except (URLError, OSError, HTTPException) as error:
        if isinstance(getattr(error, "reason", None), TimeoutError):
            raise failures.late(url, call.timeout_s) from error
        raise failures.unreachable(connection.url, error) from error
    return value_of(call, url, answer)
