# SPDX-License-Identifier: Apache-2.0
"""What the server says on a room's socket: each message serialised once, whoever gets it. Pure.

Order and names of fields as lerobot-arena-upstream §1.2 and §1.3 have them; ours come after.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson


def now_text() -> str:
    """The wall clock as the protocol writes it; nothing is computed from it."""
    return datetime.now(UTC).isoformat()


def encode(message: Mapping[str, Any]) -> str:
    """JSON text."""
    return orjson.dumps(message).decode()


def say(kind: str, **fields: Any) -> str:
    """A message with the time."""
    return encode({"type": kind, **fields, "timestamp": now_text()})


def error(code: str, message: str, **more: Any) -> str:
    """A refusal: the protocol's `message`, and our `code`."""
    return say("error", message=message, code=code, **more)


def cannot_join(code: str, detail: str) -> str:
    """The protocol has one sentence for every reason; ours is in `code` and `detail`."""
    return error(code, "Cannot join room", detail=detail)
