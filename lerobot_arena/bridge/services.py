# SPDX-License-Identifier: Apache-2.0
"""Everything a route may use, built once per app. No globals, no ROS."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.creation import Inspect, SessionMaker
from lerobot_arena.bridge.emergency import Emergency
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.frames import FrameHub
from lerobot_arena.bridge.hub import Hub
from lerobot_arena.bridge.logs import RingLog
from lerobot_arena.bridge.policy_source import PolicySources
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.session_book import SessionBook
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.store import SessionStore, open_engine
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import Unavailable


@dataclass
class Services:
    """The bridge's parts. `open` before the first request, `close` after the last."""

    settings: Settings
    link: ArmsLink
    board: Board
    feed: CycleFeed
    frames: FrameHub
    logs: RingLog
    store: SessionStore
    book: SessionBook
    maker: SessionMaker
    verbs: SessionVerbs
    emergency: Emergency
    pool: ThreadPoolExecutor

    async def open(self) -> None:
        """Take up the sessions of before."""
        await self.book.open()

    async def close(self) -> None:
        """Give back files and threads."""
        self.frames.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()


def build_services(
    settings: Settings,
    link: ArmsLink,
    *,
    board: Board,
    feed: CycleFeed,
    logs: RingLog,
    inspect: Inspect | None = None,
) -> Services:
    """Wire the parts together. Raises Unavailable when the database cannot be opened."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The data folder cannot be made: {error}. Set ARENA_DATA_DIR.") from error
    store = SessionStore(open_engine(settings.database))
    book = SessionBook(store, board, link.publish_wanted, max_sessions=settings.max_sessions)
    hub = Hub(settings.data_dir / "hub", endpoint=settings.hf_endpoint, max_bytes=settings.hub_max_bytes)
    pool = ThreadPoolExecutor(2, thread_name_prefix="jpeg")
    return Services(
        settings=settings,
        link=link,
        board=board,
        feed=feed,
        frames=FrameHub(link, pool),
        logs=logs,
        store=store,
        book=book,
        maker=SessionMaker(book, board, PolicySources(settings.roots, hub), settings, inspect=inspect),
        verbs=SessionVerbs(book, board, link, settings),
        emergency=Emergency(board, link, settings),
        pool=pool,
    )
