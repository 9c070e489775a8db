# SPDX-License-Identifier: Apache-2.0
"""Each call is written once, as a function that makes a Call; here it becomes a method that blocks, or is awaited."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Protocol, overload

from lerobot_arena.client.call import Call


class Blocking(Protocol):
    """Sends a call and returns its value."""

    def send[T](self, call: Call[T], /) -> T: ...


class Awaiting(Protocol):
    """Sends a call; its value is awaited."""

    async def send[T](self, call: Call[T], /) -> T: ...


class Group[Via]:
    """Calls of one surface over one connection."""

    def __init__(self, via: Via) -> None:
        self._via = via


class endpoint[**P, T]:
    """A method of a Group made of the function that makes its Call; name, parameters and text are that function's."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, group: None, owner: type) -> "endpoint[P, T]": ...
    @overload
    def __get__(self, group: Group[Blocking], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, group: Group[Any] | None, owner: type) -> Any:
        if group is None:
            return self

        @wraps(self.build)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group._via.send(self.build(*args, **kwargs))

        return call
