# SPDX-License-Identifier: Apache-2.0
"""What a bridge answered that it would not do, as our errors. Pure.

Three shapes: `{"detail", "code"}`, `{"error": "<sentence>"}` and `{"error", "message", "details"}`. FastAPI's own list
of what is wrong with a request counts as the first.
"""

import json
from collections.abc import Mapping
from typing import Any

from lerobot_arena.core.address import PORT_VARIABLE
from lerobot_arena.core.errors import (
    ArenaError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotAnswering,
    NotFound,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
)

_KINDS: Mapping[int, type[ArenaError]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: NotFound,
    409: Conflict,
    412: Conflict,
    413: TooLarge,
    415: InvalidInput,
    422: InvalidInput,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: NotAnswering,
}
_LONGEST_RETRY_S = 3600.0


def failure_of(status: int, body: bytes, headers: Mapping[str, str]) -> ArenaError:
    """The error an answer stands for; its `code` is the bridge's."""
    text, code = _said(body)
    text = text.strip() or "nothing"
    kind = _KINDS.get(status)
    if kind is None:
        error = ArenaError(
            f"The bridge answered {status}: {text}. Its log says more (`arena up`'s terminal)."
        )
    elif kind is TooMany:
        error = TooMany(text, retry_after_s(headers) or 1.0)
    else:
        error = kind(text)
    if code:
        error.code = code
    return error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After`; None without, or when it is a date."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        seconds = float(value)
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_S) if seconds == seconds else None


def unreachable(url: str, error: BaseException | None = None) -> Unavailable:
    """Nobody listens there, or `error` says that it is somebody whom nobody vouches for."""
    if (problem := _distrust(error)) is not None:
        return Unavailable(
            f"{url} shows a certificate that is not trusted ({problem}). Name who signed it: SSL_CERT_FILE=<its PEM "
            "file>, or ca_file= of Arena()."
        )
    return Unavailable(
        f"Nothing answers at {url}. Start an arena with `arena up`, or say where it is: --url, ARENA_URL or "
        f"{PORT_VARIABLE}."
    )


def _distrust(error: BaseException | None) -> str | None:
    """What is wrong with a certificate, when that is behind an error of any library."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message)
        reason = getattr(error, "reason", None)
        error = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
    return None


def late(url: str, timeout_s: float) -> NotAnswering:
    """Somebody listens and says nothing."""
    return NotAnswering(f"{url} did not answer within {timeout_s:g} s.")


def not_a_bridge(url: str) -> Unavailable:
    """Something else listens there."""
    return Unavailable(f"{url} does not answer like an arena bridge.")


def _said(body: bytes) -> tuple[str, str]:
    """(what an error answer says, its code or "")."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")[:300], ""
    if not isinstance(content, dict):
        return str(content)[:300], ""
    code = content.get("code")
    return _sentence(content), code if isinstance(code, str) else ""


def _sentence(content: Mapping[str, Any]) -> str:
    detail, error, message = (content.get(key) for key in ("detail", "error", "message"))
    if isinstance(detail, list):
        return "; ".join(map(_wrong_part, detail))
    causes = content.get("causes")
    if isinstance(causes, list) and causes and causes != [detail]:
        return "".join((str(detail), *(f"\n  - {cause}" for cause in causes)))
    # Where both stand, `error` is a code word and `message` the sentence.
    chosen = detail or message or error
    details = content.get("details")
    more = f" ({json.dumps(details)[:300]})" if message and details else ""
    return f"{chosen}{more}" if chosen else str(dict(content))[:300]


def _wrong_part(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    place = ".".join(str(part) for part in (item.get("loc") or ())[1:])
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", ""))
