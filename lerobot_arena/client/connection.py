# SPDX-License-Identifier: Apache-2.0
"""Where calls go and with whose token; what an answer to one means, and whether to ask again. Shared by both kinds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from lerobot_arena.client import failures
from lerobot_arena.client.address import is_loopback, is_plain, socket_url, url_of
from lerobot_arena.client.call import Answer, Call
from lerobot_arena.core.address import TOKEN_VARIABLE
from lerobot_arena.core.errors import InvalidInput, NotAnswering, TooLarge

MOST_TRIES = 4
LONGEST_PAUSE_S = 10.0
MOST_BYTES = 64 * 2**20
# Below the bridge's own, so that it never closes a connection just while a verb is sent on it.
KEEPALIVE_S = 2.0
_RESENT = frozenset({429, 503})


@dataclass(slots=True)
class Connection:
    """One bridge as one caller. `token` may change with a login; `ca_file` is who signs the bridge's certificate."""

    url: str
    token: str = field(default="", repr=False)
    ca_file: str = ""

    @property
    def trusts_environment(self) -> bool:
        """Proxies of the environment are for other machines: none may stand before a loopback e-stop."""
        return not is_loopback(self.url)

    def headers(self) -> dict[str, str]:
        """Who asks. Raises InvalidInput for a token that no header carries, such as one with a line end."""
        if self.token and not is_plain(self.token):
            raise InvalidInput(
                "The token has a space, a line end or a letter beyond ASCII in it, so it was not copied well: set "
                f"{TOKEN_VARIABLE} again, or unset it and use `arena login`."
            )
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def url_of(self, call: Call[Any]) -> str:
        """With the parameters."""
        return url_of(self.url, call.path, call.query)

    def socket_url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """Of a WebSocket; a token is never in it."""
        return socket_url(self.url, path, query)

    def ssl_context(self) -> SSLContext | None:
        """For https; None without. Raises InvalidInput when `ca_file` cannot be used."""
        if not self.url.startswith("https://"):
            return None
        import ssl

        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:
            raise InvalidInput(
                f"ca_file {self.ca_file!r} cannot be used ({error}): it is a PEM file with the certificate of who "
                "signed the bridge's."
            ) from error


def value_of[T](call: Call[T], url: str, answer: Answer) -> T:
    """What a good answer says. Raises the ArenaError that any other stands for."""
    if not 200 <= answer.status < 300:
        raise failures.failure_of(answer.status, answer.body, answer.headers)
    try:
        return call.read(answer)
    except (ValueError, KeyError, RecursionError) as error:
        raise failures.not_a_bridge(url) from error


def pause_s(call: Call[Any], tries: int, answer: Answer) -> float | None:
    """How long to wait before asking again; None: don't. Only reads are repeated, and only when they are told when."""
    if not call.is_read or tries >= MOST_TRIES or answer.status not in _RESENT:
        return None
    wait_s = failures.retry_after_s(answer.headers)
    return wait_s if wait_s is not None and wait_s <= LONGEST_PAUSE_S else None


class Body:
    """An answer's bytes as they come, bounded in number and in time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._parts: list[bytes] = []
        self._count = 0

    def add(self, part: bytes) -> None:
        """Raises NotAnswering when it trickles, TooLarge when it does not end."""
        self._parts.append(part)
        self._count += len(part)
        if self._count > MOST_BYTES:
            raise TooLarge(f"{self._url} answered with more than {MOST_BYTES >> 20} MB.")
        if time.monotonic() > self._deadline:
            raise NotAnswering(f"{self._url} did not end its answer within {self._timeout_s:g} s.")

    @property
    def whole(self) -> bytes:
        return b"".join(self._parts)
