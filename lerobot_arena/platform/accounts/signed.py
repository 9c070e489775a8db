# SPDX-License-Identifier: Apache-2.0
"""Signed claims with an end (JWT, HS256): what logins and tickets are made of.

The algorithm is ours to say, never the token's; issuer and audience are checked, so that a ticket is no login.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import jwt

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.errors import Unauthorized

ALGORITHM = "HS256"
ISSUER = "lerobot_arena"
_REQUIRED = ["iss", "aud", "sub", "jti", "iat", "exp"]
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What was signed: for whom, under which id, from when until when (seconds since 1970), and what else."""

    subject: str
    id: str
    issued_at: float
    expires_at: float
    more: dict[str, Any]


class Signer:
    """Signs and checks for one audience."""

    def __init__(self, secret: bytes, audience: str, clock: Clock) -> None:
        self._secret, self._audience, self._clock = secret, audience, clock

    def sign(self, subject: str, *, for_s: float, **more: Any) -> tuple[str, Claims]:
        """A token that says `more` of `subject` for so long."""
        now = self._clock.wall_ns() / NS
        claims = Claims(subject, secrets.token_hex(16), now, now + for_s, more)
        payload = {
            **more,
            "iss": ISSUER,
            "aud": self._audience,
            "sub": subject,
            "jti": claims.id,
            "iat": now,
            "exp": now + for_s,
        }
        return jwt.encode(payload, self._secret, algorithm=ALGORITHM), claims

    def check(self, token: str) -> Claims:
        """What a token says. Raises Unauthorized for a foreign, changed or expired one."""
        try:
            if len(token) > _LONGEST:
                raise jwt.InvalidTokenError
            payload = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=self._audience,
                # Times by our own clock, below.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )
            issued_at, expires_at = float(payload.pop("iat")), float(payload.pop("exp"))
            claims = Claims(str(payload.pop("sub")), str(payload.pop("jti")), issued_at, expires_at, payload)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthorized("This login is not valid here. Log in again.") from error
        if self._clock.wall_ns() / NS >= claims.expires_at:
            raise Unauthorized("This login has expired. Log in again.")
        return claims
