# SPDX-License-Identifier: Apache-2.0
"""Parameters of the media process."""

from dataclasses import dataclass

from lerobot_arena.core.params import param


@dataclass(frozen=True, slots=True)
class MediaParams:
    """Defaults keep media on this machine and ask no other for our address."""

    ice_addresses: tuple[str, ...] = param(
        (), "Addresses that media may come in on; empty: 127.0.0.1. 0.0.0.0 means every one of this machine."
    )
    ice_servers: tuple[str, ...] = param(
        (), "stun: and turn: URLs, also told to clients. Empty: ARENA_ICE_SERVERS, else none."
    )
    udp_ports: str = param("", "Range of UDP ports for media, as 40000-40100; empty: any free one.")
    max_peers: int = param(32, "Connections at a time.", lowest=1, highest=1000)
    max_peers_per_room: int = param(16, "Connections of one room at a time.", lowest=1, highest=1000)
    max_rooms: int = param(256, "Rooms at a time.", lowest=1, highest=10_000)
    max_stamp_age_s: float = param(
        1.0,
        "A capture stamp further behind than this is not believed; the picture's receipt stands in.",
        lowest=0.0,
        highest=60.0,
    )
    max_memory_mb: int = param(
        2048, "The process ends, and is started anew, when it takes more, MiB.", lowest=256, highest=1_000_000
    )
