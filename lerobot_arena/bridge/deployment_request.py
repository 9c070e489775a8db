# SPDX-License-Identifier: Apache-2.0
"""What somebody asks a deployment, read so that no body holds up the event loop. Pure."""

import json
from typing import Any

from lerobot_arena.bridge.access import MAX_BODY_BYTES
from lerobot_arena.core.errors import InvalidInput, TooLarge
from lerobot_arena.platform.deployments.deployment import PI0

_MOST_PARTS = 10_000
"""Of a body: brackets, commas and colons. Reading takes as long as there are parts; the bytes of a picture are one."""


def read_body(raw: bytes, kind: str) -> dict[str, Any]:
    """A request for a deployment of a kind; nothing is `{}`. Raises TooLarge, InvalidInput with the reason."""
    if kind != PI0 and len(raw) > MAX_BODY_BYTES:
        raise TooLarge(f"A request to {kind} has at most {MAX_BODY_BYTES} bytes.")
    if len(raw) - len(raw.translate(None, b"[{,:")) > _MOST_PARTS:
        raise InvalidInput(f"The request has more than {_MOST_PARTS} brackets, commas and colons: send less.")
    try:
        body = json.loads(raw or b"{}", parse_constant=_refuse)
        # Half of a character pair can be written in JSON, and in nothing that is made of it.
        if b"\\u" in raw:
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The request is no JSON that can be read: {_words(error)}") from error
    if body is not None and not isinstance(body, dict):
        raise InvalidInput("The request is a JSON object.")
    return body or {}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON.")


def _words(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it has characters that are not whole."
    return "it is nested too deeply." if isinstance(error, RecursionError) else str(error)[:200]
