# SPDX-License-Identifier: Apache-2.0
"""The bridge as seen by the command line: its REST API, and its errors as ours.

Standard library only: `arena estop` must not wait for a large HTTP client to be imported.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from lerobot_arena.bringup import DEFAULT_PORT, PORT_VARIABLE
from lerobot_arena.core.errors import (
    ArenaError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotAnswering,
    NotFound,
    Unavailable,
)

URL_VARIABLE = "ARENA_URL"
# A start waits for a policy to load; everything else answers in a moment.
VERB_TIMEOUT_S = 130.0
READ_TIMEOUT_S = 10.0

_ERRORS: Mapping[int, type[ArenaError]] = {
    400: InvalidInput,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: InvalidInput,
    503: Unavailable,
    504: NotAnswering,
}


def bridge_url(chosen: str | None = None, *, port: int | None = None) -> str:
    """The bridge's base URL: `chosen`, else the port, else ARENA_URL, else ARENA_BRIDGE_PORT on this machine."""
    url = chosen or (None if port else os.environ.get(URL_VARIABLE))
    if url:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is not a URL: it starts with http:// or https://.")
        return url.rstrip("/")
    number = port or os.environ.get(PORT_VARIABLE) or DEFAULT_PORT
    return f"http://127.0.0.1:{number}"


def checked(status: int, body: bytes, url: str) -> Any:
    """The JSON of a good answer. Raises the ArenaError that the status stands for."""
    if status == 204:
        return None
    if 200 <= status < 300:
        try:
            return json.loads(body)
        except ValueError:
            raise Unavailable(f"{url} does not answer like an arena bridge: no JSON.") from None
    error = _ERRORS.get(status, ArenaError)
    text = detail_of(body)
    if error is ArenaError:
        text = f"The bridge answered {status}: {text}. Its log says more (`arena up`'s terminal)."
    raise error(text)


def detail_of(body: bytes) -> str:
    """What an error answer says, in FastAPI's shapes or none."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()[:300] or "nothing"
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(content, dict) and (causes := content.get("causes")) and causes != [detail]:
        return "".join((str(detail), *(f"\n  - {cause}" for cause in causes)))
    if isinstance(detail, list):
        places = (
            (".".join(str(part) for part in item.get("loc", ())[1:]), item.get("msg", "")) for item in detail
        )
        return "; ".join(f"{place}: {text}" if place else text for place, text in places)
    return str(detail) if detail else str(content)[:300]


class Bridge:
    """A running bridge. Every method raises the ArenaError that the answer stands for."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A proxy from the environment must never stand between an e-stop and a loopback bridge.
        is_loopback = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._opener = build_opener(ProxyHandler({})) if is_loopback else build_opener()

    def get(self, path: str) -> Any:
        """GET."""
        return self._send("GET", path, timeout_s=READ_TIMEOUT_S)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = VERB_TIMEOUT_S
    ) -> Any:
        """POST, with a body or none."""
        return self._send("POST", path, body=body, timeout_s=timeout_s)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """PUT."""
        return self._send("PUT", path, body=body, timeout_s=VERB_TIMEOUT_S)

    def lines(self, path: str) -> Iterator[bytes]:
        """GET of something long, a line at a time."""
        try:
            with self._opener.open(Request(self.url + path), timeout=READ_TIMEOUT_S) as answer:
                yield from answer
        except HTTPError as error:
            with error:
                checked(error.code, error.read(), self.url + path)
        except (URLError, OSError) as error:
            raise unreachable(self.url) from error

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self._send("DELETE", path, timeout_s=VERB_TIMEOUT_S)

    def _send(
        self, method: str, path: str, *, timeout_s: float, body: Mapping[str, Any] | None = None
    ) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        request = Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return checked(answer.status, answer.read(), request.full_url)
        except HTTPError as error:
            with error:
                return checked(error.code, error.read(), request.full_url)
        except TimeoutError as error:
            raise NotAnswering(f"{request.full_url} did not answer within {timeout_s:g} s.") from error
        except (URLError, OSError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise NotAnswering(f"{request.full_url} did not answer within {timeout_s:g} s.") from error
            raise unreachable(self.url) from error


def unreachable(url: str) -> Unavailable:
    """Nobody listens there."""
    return Unavailable(
        f"Nothing answers at {url}. Start an arena with `arena up`, or say where it is: --url, ARENA_URL or "
        f"{PORT_VARIABLE}."
    )
