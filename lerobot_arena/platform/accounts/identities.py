# SPDX-License-Identifier: Apache-2.0
"""Who was recognised a moment ago, so that a request costs no query. By a hash: no credential stays in memory."""

import hashlib
import threading
from collections import OrderedDict

from lerobot_arena.core.clock import NS, Clock
from lerobot_arena.core.principal import Principal

FRESH_S = 3.0
"""How long another process's revocation may take to be felt."""
STALE_S = 3600.0
_MOST = 4096


class Identities:
    """A bounded memory; any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[Principal, int]] = OrderedDict()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Changes with every `forget`; what was looked up before one is not kept."""
        return self._generation

    def get(self, credential: str, *, max_age_s: float = FRESH_S) -> Principal | None:
        """Who that is, when it was found out no longer ago than that and has not expired."""
        with self._lock:
            found = self._known.get(_key(credential))
        if found is None:
            return None
        who, since_ns = found
        is_fresh = self._clock.steady_ns() - since_ns <= max_age_s * NS
        is_valid = who.expires_at is None or self._clock.wall_ns() / NS < who.expires_at
        return who if is_fresh and is_valid else None

    def put(self, credential: str, who: Principal, generation: int) -> None:
        """Remember, unless something was forgotten since `generation`."""
        with self._lock:
            if generation != self._generation:
                return
            self._known[_key(credential)] = (who, self._clock.steady_ns())
            self._known.move_to_end(_key(credential))
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def drop(self, credential: str) -> None:
        """Forget who one credential was: it is no longer good."""
        with self._lock:
            self._known.pop(_key(credential), None)

    def forget(self, *, user: str | None = None, credential_id: str | None = None) -> None:
        """Forget a user, or who used one credential."""
        with self._lock:
            self._generation += 1
            for key, (who, _) in list(self._known.items()):
                if who.name == user or (credential_id is not None and who.credential == credential_id):
                    del self._known[key]


def _key(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()
