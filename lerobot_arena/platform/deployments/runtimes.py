# SPDX-License-Identifier: Apache-2.0
"""What runs a deployment's policy: a table of runtimes that other packages may add to.

An entry point of the group `lerobot_arena.runtimes`, named by a runtime kind, is a callable without arguments that
gives a `Runtime`. An instance is a local process here; another package's runtime may reach for a cluster.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

from lerobot_arena.core.errors import Conflict, InvalidInput, NotAnswering, Unavailable
from lerobot_arena.platform.deployments.deployment import KINDS, Deployment

GROUP = "lerobot_arena.runtimes"
REFUSALS = (InvalidInput, Conflict, NotAnswering)
"""What an instance may raise and go on: a bad request, one at the wrong time, something behind it that is silent."""


class Instance(Protocol):
    """One running copy of a policy.

    It answers one request at a time; where it has an attribute `at_once`, that many.
    """

    @property
    def is_alive(self) -> bool:
        """It can still answer."""

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request. Raises one of REFUSALS; anything else means that the instance is lost."""

    async def stop(self) -> None:
        """End it and give back what it holds. Called again until it does not raise."""


class Runtime(Protocol):
    """One kind of runtime."""

    def missing(self) -> str:
        """What to install before it can start anything; empty: nothing."""

    async def start(self, deployment: Deployment) -> Instance:
        """A ready instance. Raises an ArenaError saying why there is none."""


class NoRuntime:
    """Stands for a kind that nothing here can run."""

    def __init__(self, kind: str, reason: str = "") -> None:
        self._reason = reason or (
            f"No runtime for {kind} is installed here. Install a package that offers the entry point "
            f"{kind!r} in the group {GROUP!r}."
        )

    def missing(self) -> str:
        """Why it cannot start."""
        return self._reason

    async def start(self, deployment: Deployment) -> Instance:
        """Raises Unavailable."""
        raise Unavailable(self._reason)


def load_runtimes(own: Mapping[str, Callable[[], Runtime]]) -> dict[str, Runtime]:
    """A runtime for every kind: an installed entry point, else one of ours, else one that says what is missing."""
    found: dict[str, Runtime] = {kind: own[kind]() if kind in own else NoRuntime(kind) for kind in KINDS}
    for kind, make in _installed():
        try:
            found[kind] = make()
        except Exception as error:  # whatever another package raises is its own kind's problem only
            reason = f"{type(error).__name__}: {error}"[:300]
            found[kind] = NoRuntime(
                kind, f"The installed runtime for {kind} does not load ({reason}): install another version."
            )
    return found


def _installed() -> Iterator[tuple[str, Callable[[], Runtime]]]:
    for point in entry_points(group=GROUP):
        if point.name in KINDS:
            # Loading imports the package, which may fail; that is its own kind's problem only.
            yield point.name, lambda point=point: point.load()()  # type: ignore[misc]
