# SPDX-License-Identifier: Apache-2.0
"""Parameters of the bridge node. What is left empty comes from the environment (settings.py)."""

from dataclasses import dataclass

from lerobot_arena.core.params import param


@dataclass(frozen=True)
class BridgeParams:
    """Overrides of the ARENA_* environment, so that a launch file can set them."""

    host: str = param(
        "",
        "Address to listen on; beyond loopback with accounts. Empty: ARENA_BRIDGE_HOST, else 127.0.0.1",
    )
    port: int = param(
        -1, "TCP port; 0 takes any free one. -1: ARENA_BRIDGE_PORT, else 8001", lowest=-1, highest=65535
    )
    data_dir: str = param("", "Folder of the database and of downloaded policies. Empty: ARENA_DATA_DIR")
    policy_roots: tuple[str, ...] = param(
        (), "Folders policies may be loaded from. Empty: ARENA_POLICY_ROOTS"
    )
