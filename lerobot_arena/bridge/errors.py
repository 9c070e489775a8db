# SPDX-License-Identifier: Apache-2.0
"""Errors as HTTP answers, in one place: `{"detail": …, "code": …}`, and never a traceback."""

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from lerobot_arena.core import errors

_log = logging.getLogger(__name__)


class Unprocessable(errors.InvalidInput):
    """A body or parameter that is well-formed and says something impossible."""


class StillCaused(errors.Conflict):
    """A reset while something still speaks against it; each cause is one sentence."""

    def __init__(self, message: str, causes: Sequence[str]) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


@contextmanager
def unprocessable() -> Iterator[None]:
    """InvalidInput from inside is about the request's content: 422 instead of 400."""
    try:
        yield
    except errors.InvalidInput as error:
        raise Unprocessable(str(error)) from error


# The first class an error is an instance of decides.
STATUS_OF: tuple[tuple[type[errors.ArenaError], int], ...] = (
    (Unprocessable, 422),
    (errors.InvalidInput, 400),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.TooLarge, 413),
    (errors.TooMany, 429),
    (errors.NotAnswering, 504),
    (errors.Unavailable, 503),
    (errors.PolicyError, 400),
    (errors.ArenaError, 400),
)


def status_of(error: errors.ArenaError) -> int:
    """The HTTP status of an ArenaError."""
    return next(status for kind, status in STATUS_OF if isinstance(error, kind))


def register(app: FastAPI) -> None:
    """Let the app answer every error the same way."""
    app.add_exception_handler(errors.ArenaError, _arena_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected)


async def _arena_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ArenaError)
    more = {"causes": list(error.causes)} if isinstance(error, StillCaused) else {}
    return JSONResponse({"detail": str(error), "code": error.code, **more}, status_of(error))


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Not the rejected input itself: it may hold what JSON cannot (NaN), and it may be large.
    detail = [
        {
            "loc": [_printable(part) for part in item["loc"]],
            "msg": _printable(item["msg"]),
            "type": item["type"],
        }
        for item in error.errors()[:50]
    ]
    return JSONResponse({"detail": detail}, 422)


def _printable[T](part: T) -> T | str:
    return part.encode("utf-8", "replace").decode()[:500] if isinstance(part, str) else part


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    reference = uuid.uuid4().hex[:12]
    _log.error("%s %s failed, reference %s", request.method, request.url.path, reference, exc_info=error)
    return JSONResponse(
        {"detail": f"Internal error, reference {reference}: see /debug/logs.", "code": "internal"}, 500
    )
