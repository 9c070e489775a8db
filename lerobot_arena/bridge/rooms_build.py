# SPDX-License-Identifier: Apache-2.0
"""The rooms server's parts, wired together."""

from sqlalchemy import Engine

from lerobot_arena.bridge.emergency import Emergency
from lerobot_arena.bridge.frames import FrameHub
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.remote_arenas import RemoteArenas
from lerobot_arena.bridge.rooms_media import RoomMedia
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.rooms_sessions import SessionRooms
from lerobot_arena.bridge.rooms_store import RoomStore
from lerobot_arena.bridge.rooms_traffic import RoomTraffic
from lerobot_arena.bridge.rooms_watch import RoomWatch
from lerobot_arena.bridge.session_book import SessionBook
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.rooms.hub import Hub, RoomLimits


def build_rooms(
    engine: Engine,
    settings: Settings,
    link: ArmsLink,
    book: SessionBook,
    *,
    frames: FrameHub,
    emergency: Emergency,
) -> tuple[RoomServer, RemoteArenas]:
    """A server over the bridge's parts, and what joins rooms elsewhere; both follow the sessions from now on."""
    board = book.board
    hub = Hub(
        board.clock,
        RoomLimits(
            rooms=settings.max_rooms,
            rooms_per_owner=max(settings.max_rooms // 4, 1),
            workspaces=max(settings.max_rooms // 2, 1),
            workspaces_per_owner=max(settings.max_rooms // 8, 1),
            participants=settings.max_participants,
            participants_per_identity=max(settings.max_participants // 2, 1),
        ),
    )
    traffic = RoomTraffic(hub, link.rooms)
    media = RoomMedia(link.media, board.clock)
    watch = RoomWatch(frames, board.clock)
    server = RoomServer(
        hub, RoomStore(engine), traffic=traffic, media=media, watch=watch, emergency=emergency
    )
    server.sessions = SessionRooms(
        hub, board, prepare=server.prepare, gone=server.gone, give_way=server.give_way
    )
    book.checks.append(server.sessions.check_free)
    book.listeners.append(server.sessions.follow)
    remotes = RemoteArenas(server, settings.remote_arena)
    book.listeners.append(remotes.follow)
    return server, remotes
