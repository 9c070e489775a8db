# SPDX-License-Identifier: Apache-2.0
"""Every error a person or a caller can act on.

::

    ArenaError                  what was wrong, and what to do about it
    ├── InvalidInput            a value from outside is unusable             (HTTP 400)
    ├── NotFound                no such session, room, arm, file             (HTTP 404)
    ├── Conflict                not now: wrong state, duplicate, latched     (HTTP 409)
    ├── Unauthorized            nobody we know; says how to log in           (HTTP 401)
    ├── Forbidden               known caller, not allowed                    (HTTP 403)
    ├── TooLarge                more than this takes at once                 (HTTP 413)
    ├── TooMany                 too often; `retry_after_s` says when         (HTTP 429)
    ├── NotAnswering            a process did not show the effect in time    (HTTP 504)
    ├── Unavailable             a process or device is not there             (HTTP 503)
    └── PolicyError             a checkpoint cannot be used, or failed at work (HTTP 400)
        └── PolicyFailed        threw, hung or died while running

The message is one or two sentences for a person; `code` is for programs.
Broken invariants of our own are `ValueError`, never an `ArenaError`.
"""


class ArenaError(Exception):
    """Base of all errors that reach a person; `code` names the kind."""

    code = "error"


class InvalidInput(ArenaError):
    """A value from outside is unusable."""

    code = "invalid_input"


class NotFound(ArenaError):
    """The named thing does not exist."""

    code = "not_found"


class Conflict(ArenaError):
    """The request does not fit the present state."""

    code = "conflict"


class Forbidden(ArenaError):
    """The caller may not do this."""

    code = "forbidden"


class Unauthorized(ArenaError):
    """Credentials are missing, wrong or used up."""

    code = "unauthorized"


class TooLarge(ArenaError):
    """A body or file is larger than allowed."""

    code = "too_large"


class TooMany(ArenaError):
    """Asked too often."""

    code = "too_many"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotAnswering(ArenaError):
    """A process did not show the wanted effect in time."""

    code = "not_answering"


class Unavailable(ArenaError):
    """A process or device this needs is not there."""

    code = "unavailable"


class PolicyError(ArenaError):
    """A checkpoint cannot be used as asked."""

    code = "policy"


class PolicyFailed(PolicyError):
    """A loaded policy threw, hung or died."""

    code = "policy_failed"
