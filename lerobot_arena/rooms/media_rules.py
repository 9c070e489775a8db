# SPDX-License-Identifier: Apache-2.0
"""Where the server stands in a video room: between the clients, or beside them. Decided here and nowhere else.

By default it stands between: it answers a producer in the consumer's name, takes the pictures once however many watch,
and shows them to each consumer in the producer's name. So the robot uploads once, the room's config and recovery are
obeyed, the room's topic is fed, and clients that offer before they gathered candidates connect at all.
"""

from dataclasses import dataclass
from enum import Enum

from lerobot_arena.rooms.video_config import P2P_RELAY, VideoConfig


class OfferRole(Enum):
    """What becomes of the producer's offer."""

    PASS_ON = "passed on untouched; the two clients connect to each other"
    TAKE = "answered; its pictures are the room's"
    SILENT = "answered as inactive: the pictures come on another connection already"
    EMPTY = "answered, but nothing is offered yet"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True)
class OfferFacts:
    """What the role of an offer depends on."""

    config: VideoConfig
    for_arena: bool
    is_readable: bool
    has_video: bool
    has_carrier: bool


def role_of_offer(facts: OfferFacts) -> OfferRole:
    """The role of a producer's offer to one consumer."""
    if not facts.is_readable:
        return OfferRole.REFUSE
    if not facts.for_arena and facts.config.relay == P2P_RELAY:
        return OfferRole.PASS_ON
    if facts.config.encoding == "jpeg":
        return OfferRole.REFUSE
    if not facts.has_video:
        return OfferRole.EMPTY
    return OfferRole.SILENT if facts.has_carrier else OfferRole.TAKE


def is_shown_by_server(
    config: VideoConfig, *, has_carrier: bool, has_ros_source: bool, is_passed: bool
) -> bool:
    """A consumer with WebRTC gets an offer of the server's own."""
    if config.encoding == "jpeg" or is_passed:
        return False
    return has_carrier or has_ros_source


def is_arena_wanted(config: VideoConfig, *, subscribers: int, watchers: int) -> bool:
    """The producer is asked to send to the server: a node listens on the room's topic, or people watch through us."""
    return config.encoding != "jpeg" and (subscribers > 0 or watchers > 0)
