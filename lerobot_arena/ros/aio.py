# SPDX-License-Identifier: Apache-2.0
"""The border between rclpy's spin thread and asyncio: the only place where one calls the other."""

import asyncio
from collections.abc import Callable
from typing import Any

from lerobot_arena.core.errors import NotAnswering, Unavailable


async def call_service(client: Any, request: Any, timeout_s: float) -> Any:
    """Call a ROS service from asyncio. Raises Unavailable when nobody serves it, NotAnswering after `timeout_s`."""
    if not client.service_is_ready():
        raise Unavailable(f"Nobody answers {client.srv_name}: is that process running?")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(done: Any) -> None:
        if not answer.done():
            answer.set_result(done.result()) if done.exception() is None else answer.set_exception(
                done.exception()
            )

    pending = client.call_async(request)
    pending.add_done_callback(lambda done: loop.call_soon_threadsafe(settle, done))
    try:
        return await asyncio.wait_for(answer, timeout_s)
    except TimeoutError as error:
        client.remove_pending_request(pending)
        raise NotAnswering(f"{client.srv_name} did not answer within {timeout_s} s.") from error


def into_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., None]) -> Callable[..., None]:
    """A thread-safe twin of `callback` that runs it in `loop`; dropped once the loop is closed."""

    def forward(*args: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback, *args)

    return forward
