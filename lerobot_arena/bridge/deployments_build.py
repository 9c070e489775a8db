# SPDX-License-Identifier: Apache-2.0
"""The deployments' parts, wired together: which runtime each kind has here, and what may be deployed on it."""

from lerobot_arena.bridge.published import Published
from lerobot_arena.core.clock import Clock
from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.catalog import refs
from lerobot_arena.platform.catalog.item import POLICY
from lerobot_arena.platform.deployments.browser_runtime import BrowserRuntime
from lerobot_arena.platform.deployments.deployment import BROWSER, MUJOCO
from lerobot_arena.platform.deployments.fleet import Fleet
from lerobot_arena.platform.deployments.mujoco_runtime import MujocoRuntime
from lerobot_arena.platform.deployments.runtimes import load_runtimes
from lerobot_arena.platform.deployments.service import Deployments


def build_deployments(published: Published, clock: Clock) -> Deployments:
    """Over the catalog."""
    shelf, blobs = published.shelf, published.blobs
    runtimes = load_runtimes(
        {BROWSER: lambda: BrowserRuntime(shelf), MUJOCO: lambda: MujocoRuntime(shelf, blobs)}
    )

    def find_policy(kind: str, ref: str) -> str:
        try:
            return shelf.get(POLICY, str(refs.parse(ref, "policyRef"))).ref
        except NotFound as error:
            raise InvalidInput(f"policyRef: {error}") from error

    return Deployments(published.deployed, Fleet(runtimes, clock), clock, find_policy=find_policy)
