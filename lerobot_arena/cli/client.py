# SPDX-License-Identifier: Apache-2.0
"""The bridge as seen by the command line: its REST API, and its errors as ours."""

import os
from collections.abc import Mapping
from typing import Any

import httpx

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


def detail_of(response: httpx.Response) -> str:
    """What an error answer says, in FastAPI's shapes or none."""
    try:
        body = response.json()
    except ValueError:
        return response.text.strip()[:300] or response.reason_phrase
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, list):
        places = (
            (".".join(str(part) for part in item.get("loc", ())[1:]), item.get("msg", "")) for item in detail
        )
        return "; ".join(f"{place}: {text}" if place else text for place, text in places)
    return str(detail) if detail else str(body)[:300]


def checked(response: httpx.Response) -> Any:
    """The JSON of a good answer. Raises the ArenaError that the status stands for."""
    if response.is_success:
        try:
            return response.json()
        except ValueError:
            raise Unavailable(f"{response.url} does not answer like an arena bridge: no JSON.") from None
    error = _ERRORS.get(response.status_code, ArenaError)
    text = detail_of(response)
    if error is ArenaError:
        text = (
            f"The bridge answered {response.status_code}: {text}. Its log says more (`arena up`'s terminal)."
        )
    raise error(text)


class Bridge:
    """A running bridge. Every method raises the ArenaError that the answer stands for."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        # A proxy from the environment must never stand between an e-stop and a loopback bridge.
        self._http = httpx.Client(
            base_url=url, timeout=READ_TIMEOUT_S, transport=transport, trust_env=not _is_loopback(url)
        )

    def get(self, path: str) -> Any:
        """GET."""
        return self._send("GET", path, timeout_s=READ_TIMEOUT_S)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float = VERB_TIMEOUT_S
    ) -> Any:
        """POST, with a body or none."""
        return self._send("POST", path, body=body, timeout_s=timeout_s)

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self._send("DELETE", path, timeout_s=VERB_TIMEOUT_S)

    def _send(
        self, method: str, path: str, *, timeout_s: float, body: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return checked(self._http.request(method, path, json=body, timeout=timeout_s))
        except httpx.TimeoutException as error:
            raise NotAnswering(f"{self.url}{path} did not answer within {timeout_s:g} s.") from error
        except httpx.TransportError as error:
            raise unreachable(self.url) from error


def unreachable(url: str) -> Unavailable:
    """Nobody listens there."""
    return Unavailable(
        f"Nothing answers at {url}. Start an arena with `arena up`, or say where it is: --url, ARENA_URL or "
        f"{PORT_VARIABLE}."
    )


def _is_loopback(url: str) -> bool:
    return httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}
