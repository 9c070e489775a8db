# SPDX-License-Identifier: Apache-2.0
"""Errors as HTTP answers, in one place, in the shape of the surface they are on, and never a traceback."""

import logging
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lerobot_arena.core import errors
from lerobot_arena.platform.storage.database import told

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


_CODE_OF = {
    400: "invalid_input",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
RETRY_UNAVAILABLE_S = 2

Shape = Callable[[str, str, Mapping[str, Any]], dict[str, Any]]


def detail_shape(text: str, code: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Seeds 1, 3 and 4, and rooms."""
    return {"detail": text, "code": code, **more}


def sentence_shape(text: str, code: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Seed 2: one sentence."""
    return {"error": text}


def detailed_shape(text: str, code: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """Seed 5: a word for programs, a sentence for people, and what exactly was wrong."""
    return {"error": code, "message": text, "details": str(more.get("details", ""))}


# First path segments, or first two below /api and /v1; whatever is not here has seed 1's shape.
_SHAPES: dict[str, Shape] = {
    **dict.fromkeys(
        (
            "/api/api-tokens",
            "/api/publish",
            "/api/deployments",
            "/api/rollout",
            "/api/datasets",
            "/api/training",
            "/api/scenegen",
            "/api/arena",
            "/v1/leaderboard",
        ),
        sentence_shape,
    ),
    **dict.fromkeys(("/auth", "/models", "/optimize", "/monitoring"), detailed_shape),
}


def shape_of(path: str) -> Shape:
    """How the surface that `path` belongs to writes errors."""
    parts = path.split("/")
    return _SHAPES.get("/".join(parts[:2])) or _SHAPES.get("/".join(parts[:3])) or detail_shape


def status_of(error: errors.ArenaError) -> int:
    """The HTTP status of an ArenaError."""
    return next(status for kind, status in STATUS_OF if isinstance(error, kind))


def answer(path: str, error: errors.ArenaError) -> JSONResponse:
    """An error in the words of the surface that `path` belongs to."""
    more = {"causes": list(error.causes)} if isinstance(error, StillCaused) else {}
    headers = {}
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="arena"'
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(RETRY_UNAVAILABLE_S)
    shape, status = shape_of(path), status_of(error)
    if shape is sentence_shape and status == 422:
        status = 400
    return JSONResponse(shape(str(error), error.code, more), status, headers)


def plain_answer(path: str, status: int, text: str, code: str) -> JSONResponse:
    """What is no ArenaError, in the words of the surface that `path` belongs to."""
    return JSONResponse(shape_of(path)(text, code, {}), status)


def register(app: FastAPI) -> None:
    """Let the app answer every error the same way."""
    app.add_exception_handler(errors.ArenaError, _arena_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SQLAlchemyError, _database_error)


async def _arena_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ArenaError)
    return answer(request.scope["path"], error)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """What a store did not put into words itself, such as a database that stays locked."""
    assert isinstance(error, SQLAlchemyError)
    _log.error("%s failed in the database", request.scope["path"], exc_info=error)
    return answer(request.scope["path"], told(error))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    """What Starlette and FastAPI raise themselves: no such path, wrong method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    code = _CODE_OF.get(error.status_code, "error")
    response = plain_answer(request.scope["path"], error.status_code, str(error.detail), code)
    response.headers.update(error.headers or {})
    return response


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
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
    shape = shape_of(request.scope["path"])
    if shape is detail_shape:
        return JSONResponse({"detail": detail}, 422)
    sentences = "; ".join(_sentence(item) for item in detail)
    if shape is sentence_shape:
        return JSONResponse(shape(sentences, "validation_error", {}), 400)
    return JSONResponse(shape("Invalid request parameters", "validation_error", {"details": sentences}), 422)


def _sentence(item: dict[str, Any]) -> str:
    # The first part of a place says only body or query.
    where = ".".join(str(part) for part in item["loc"][1:] or item["loc"])
    return f"{where}: {item['msg']}"


def _printable[T](part: T) -> T | str:
    return part.encode("utf-8", "replace").decode()[:500] if isinstance(part, str) else part


class LastResort:
    """ASGI middleware: an error that nobody foresaw is 500 with a reference into the log, and nothing of its inside.

    Starlette's own place for this is outside every other middleware: CORS and security headers would be missing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        has_started = False

        async def noting(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http" or has_started:
                raise
            await _unexpected(scope, error)(scope, receive, send)


def _unexpected(scope: Scope, error: Exception) -> JSONResponse:
    reference = uuid.uuid4().hex[:12]
    _log.error("%s %s failed, reference %s", scope["method"], scope["path"], reference, exc_info=error)
    text = f"Internal error, reference {reference}: see /debug/logs."
    return JSONResponse(shape_of(scope["path"])(text, "internal", {}), 500)
