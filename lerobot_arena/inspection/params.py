# SPDX-License-Identifier: Apache-2.0
"""Parameters of the inspection node."""

from dataclasses import dataclass

from lerobot_arena.core.params import param


@dataclass(frozen=True, slots=True)
class InspectionParams:
    """Defaults serve Foxglove on this machine only."""

    foxglove: bool = param(True, "Serve Foxglove; false: only the boundaries as markers for rviz.")
    host: str = param("127.0.0.1", "Address to listen on; loopback only.")
    port: int = param(8765, "TCP port; 0 takes any free one.", lowest=0, highest=65535)
    origins: tuple[str, ...] = param(
        ("https://app.foxglove.dev", "https://embed.foxglove.dev", "file://"),
        "Pages that may connect; file:// is the desktop application. Programs send no origin and may.",
    )
    robot: str = param("so101", "Robot name or .yaml file; its table is drawn.")
    frame: str = param("base_link", "Frame of the boundaries' positions: the arm's base.")
    backlog: int = param(
        128, "Messages kept for a client that reads too slowly; then the oldest go.", lowest=16, highest=4096
    )
    stall_s: float = param(
        10.0, "Seconds after which a client that takes nothing is let go.", lowest=0.5, highest=3600.0
    )
    max_clients: int = param(16, "Connections at once.", lowest=1, highest=256)
    look_s: float = param(
        0.5, "Seconds between looks for new topics and services.", lowest=0.05, highest=60.0
    )
    linger_s: float = param(
        10.0, "Seconds a topic stays on offer after its last publisher has gone.", lowest=0.0, highest=3600.0
    )
    service_timeout_s: float = param(5.0, "Longest wait for a service's answer.", lowest=0.1, highest=60.0)
