# SPDX-License-Identifier: Apache-2.0
"""One call of the bridge's REST API as a value: what is sent, how long it may take, how the answer is read. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lerobot_arena.client.form import Form
from lerobot_arena.core.errors import InvalidInput

READ_TIMEOUT_S = 10.0
# A start waits for a policy to load; everything else answers in a moment.
VERB_TIMEOUT_S = 130.0
# Whoever ends a motion learns soon that the link is dead.
STOP_TIMEOUT_S = 15.0
# However long an answer may take, a bridge takes the connection at once.
CONNECT_TIMEOUT_S = 5.0
# The bridge asks the guard for 2 s, and then the embodiment for 2 s.
ESTOP_TIMEOUT_S = 6.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError when it is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Call[T]:
    """`path` as on a bridge at the root. `read` turns the answer into its value; ValueError: that is no bridge."""

    method: str
    path: str
    read: Callable[[Answer], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    timeout_s: float = field(default_factory=lambda: READ_TIMEOUT_S)
    form: Form | None = None
    """Files to send, instead of a body."""
    is_urgent: bool = False
    """Sent at once over a connection of its own."""

    @property
    def is_read(self) -> bool:
        """It changes nothing, and so may be asked twice."""
        return self.method == "GET"

    def content(self) -> bytes | None:
        """The body's bytes. Raises InvalidInput for what is not JSON, such as NaN: it must not leave."""
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"{self.method} {self.path}: the body cannot be sent: {error}.") from error


def get[T](path: str, read: Callable[[Answer], T], **query: Any) -> Call[T]:
    """A read; parameters that are None are left out."""
    return Call("GET", path, read, query)


def post[T](
    path: str,
    read: Callable[[Answer], T],
    body: Any = None,
    *,
    query: Mapping[str, Any] | None = None,
    timeout_s: float = VERB_TIMEOUT_S,
) -> Call[T]:
    """A verb. It is sent once, whatever happens."""
    return Call("POST", path, read, query or {}, body, timeout_s)


def as_object(answer: Answer) -> Any:
    """A JSON object."""
    return _checked(answer, dict)


def as_list(answer: Answer) -> Any:
    """A JSON list."""
    return _checked(answer, list)


def as_nothing(answer: Answer) -> None:
    """204, or an answer nobody needs."""


def inside(key: str) -> Callable[[Answer], Any]:
    """One key of a JSON object."""

    def read(answer: Answer) -> Any:
        content = _checked(answer, dict)
        if key not in content:
            raise ValueError(f"no {key!r}")
        return content[key]

    return read


def _checked(answer: Answer, kind: type) -> Any:
    content = answer.json()
    if not isinstance(content, kind):
        raise ValueError(f"no {kind.__name__}")
    return content
