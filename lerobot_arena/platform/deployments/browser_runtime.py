# SPDX-License-Identifier: Apache-2.0
"""`browser.mujoco.onnx` deployments run in whatever browser opens their page; here they only say where that is."""

from collections.abc import Mapping
from typing import Any

from lerobot_arena.platform.catalog.item import POLICY
from lerobot_arena.platform.catalog.shelf import Shelf
from lerobot_arena.platform.deployments.deployment import Deployment


class BrowserInstance:
    """Nothing runs on the server."""

    is_alive = True

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Where the page is."""
        return {"path": self._path}

    async def stop(self) -> None:
        """There is nothing to stop."""


class BrowserRuntime:
    """Needs a policy that runs in a browser."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def missing(self) -> str:
        """Nothing."""
        return ""

    async def start(self, deployment: Deployment) -> BrowserInstance:
        """Raises NotFound when the policy is gone."""
        return BrowserInstance(f"/{self._shelf.get(POLICY, deployment.policy).ref}")
