# SPDX-License-Identifier: Apache-2.0
"""The media process's event loop: UDP sockets within the ports that a firewall lets in."""

import asyncio
import random
from typing import Any

from lerobot_arena.core.errors import Unavailable


class MediaLoop(asyncio.SelectorEventLoop):
    """An event loop that binds UDP sockets whose port does not matter within a range that a firewall lets in."""

    def __init__(self, ports: range | None) -> None:
        super().__init__()
        self._ports = ports

    async def create_datagram_endpoint(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        local = options.get("local_addr") or (args[0] if args else None)
        if self._ports is None or local is None or local[1] != 0:
            return await super().create_datagram_endpoint(protocol_factory, *args, **options)
        for port in random.sample(self._ports, len(self._ports)):
            options["local_addr"] = (local[0], port)
            try:
                return await super().create_datagram_endpoint(protocol_factory, **options)
            except OSError:
                continue
        raise Unavailable(
            f"All UDP ports from {self._ports[0]} to {self._ports[-1]} are taken: widen udp_ports."
        )
