# SPDX-License-Identifier: Apache-2.0
"""Everything a route may use, built once per app. No globals, no ROS."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from sqlalchemy import Engine

from lerobot_arena.bridge.accounts_desk import AccountsDesk, open_accounts
from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.callers import Callers
from lerobot_arena.bridge.config_book import ConfigBook
from lerobot_arena.bridge.config_store import ConfigStore
from lerobot_arena.bridge.creation import Inspect, SessionMaker
from lerobot_arena.bridge.deployments_build import build_deployments
from lerobot_arena.bridge.emergency import Emergency
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.frames import FrameHub
from lerobot_arena.bridge.hub import Hub
from lerobot_arena.bridge.logs import RingLog
from lerobot_arena.bridge.open_sockets import OpenSockets
from lerobot_arena.bridge.outbox import Outbox
from lerobot_arena.bridge.policy_source import CatalogReference, PolicySources, ResolvedPolicy
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.published import Published
from lerobot_arena.bridge.recording_store import RecordingStore
from lerobot_arena.bridge.recordings import RecordingBook
from lerobot_arena.bridge.remote_arenas import RemoteArenas
from lerobot_arena.bridge.risk_log import RiskLog
from lerobot_arena.bridge.risk_store import RiskStore
from lerobot_arena.bridge.robot_runtime import RobotRuntime
from lerobot_arena.bridge.rooms_build import build_rooms
from lerobot_arena.bridge.rooms_server import RoomServer
from lerobot_arena.bridge.runtime import Runtime
from lerobot_arena.bridge.session_book import SessionBook
from lerobot_arena.bridge.session_kinds import InferenceSessions, SessionKinds
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.bridge.sight import Sight
from lerobot_arena.bridge.store import SessionStore
from lerobot_arena.bridge.trials import PhysicalTrials
from lerobot_arena.bridge.verbs import SessionVerbs
from lerobot_arena.core.errors import Unavailable
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.principal import Principal
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.tightening import loosening
from lerobot_arena.platform.accounts.accounts import Accounts
from lerobot_arena.platform.accounts.audit import AuditLog
from lerobot_arena.platform.deployments.service import Deployments
from lerobot_arena.platform.storage.database import open_engine


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
    kinds: SessionKinds
    emergency: Emergency
    config: ConfigBook
    runtime: Runtime
    risk_store: RiskStore
    risk_log: RiskLog
    recordings: RecordingBook
    pool: ThreadPoolExecutor
    desk: AccountsDesk
    audit: AuditLog
    callers: Callers
    sockets: OpenSockets
    published: Published
    deployments: Deployments
    rooms: RoomServer
    remotes: RemoteArenas
    trials: PhysicalTrials
    outboxes: set[Outbox] = field(default_factory=set)
    """Of the telemetry clients that are connected."""

    async def open(self) -> None:
        """Take up the boundaries and sessions of before."""
        await self.config.open()
        await self.rooms.open()
        await self.book.open()
        self.feed.taps.append(self.risk_log.note)
        self.risk_log.start()
        self.published.open()
        await self.trials.open()
        await self.deployments.open()

    async def end_runs(self) -> None:
        """Stop the arms that move for trials and deployments, while the robot side answers; `close` does it too."""
        try:
            await self.trials.close()
        finally:
            await self.deployments.close()

    async def close(self) -> None:
        """Write what waits; give back files and threads: of each part, whatever another one raises."""
        if self.risk_log.note in self.feed.taps:
            self.feed.taps.remove(self.risk_log.note)
        async with AsyncExitStack() as parts:  # from the last to the first
            parts.callback(self.store.close)
            parts.push_async_callback(asyncio.to_thread, self.audit.close)
            parts.push_async_callback(asyncio.to_thread, self.desk.close)
            parts.push_async_callback(self.published.close)
            parts.callback(self.callers.close)
            parts.callback(self.pool.shutdown, wait=False, cancel_futures=True)
            parts.callback(self.frames.close)
            parts.push_async_callback(self.rooms.close)
            parts.push_async_callback(self.remotes.close)
            parts.push_async_callback(self.risk_log.close)
            parts.push_async_callback(self.end_runs)

    @property
    def accounts(self) -> Accounts:
        """Users, logins and API tokens; blocking, so ask through the desk."""
        return self.desk.accounts

    def sight(self, caller: Principal) -> Sight:
        """What a caller may know of sessions and arms."""
        return Sight(caller, self.book, self.board)


def build_services(
    settings: Settings,
    link: ArmsLink,
    *,
    board: Board,
    feed: CycleFeed,
    logs: RingLog,
    inspect: Inspect | None = None,
    shipped: Callable[[], GuardConfig] = shipped_config,
) -> Services:
    """Wire the parts together. Raises Unavailable when the database cannot be opened."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The data folder cannot be made: {error}. Set ARENA_DATA_DIR.") from error
    engine = open_engine(settings.database)
    store = SessionStore(engine)
    config = _config_book(engine, settings, link, board, shipped)
    risk_store, risk_log = _risk_log(engine, settings, link, board)
    book = SessionBook(store, board, link.publish_wanted, max_sessions=settings.max_sessions)
    pool = ThreadPoolExecutor(2, thread_name_prefix="jpeg")
    verbs = SessionVerbs(book, board, link, settings, config_version=lambda: config.config.version)
    published = Published(engine, settings, board.clock)
    accounts = open_accounts(engine, settings, board.clock)
    frames, emergency = FrameHub(link, pool), Emergency(board, link, settings)
    rooms, remotes = build_rooms(engine, settings, link, book, frames=frames, emergency=emergency)
    kinds = SessionKinds([InferenceSessions(book, board, verbs, settings, remote_status=remotes.status)])
    maker = SessionMaker(
        book, board, _policies(settings, published), settings, inspect=inspect, is_taken=kinds.__contains__
    )
    robot = RobotRuntime(maker, book, board, verbs, settings)
    return Services(
        settings=settings,
        link=link,
        board=board,
        feed=feed,
        frames=frames,
        logs=logs,
        store=store,
        book=book,
        maker=maker,
        verbs=verbs,
        kinds=kinds,
        emergency=emergency,
        config=config,
        runtime=Runtime(board, book, config, verbs),
        risk_store=risk_store,
        risk_log=risk_log,
        recordings=RecordingBook(settings.data_dir / "recordings", RecordingStore(engine)),
        pool=pool,
        desk=AccountsDesk(accounts),
        audit=AuditLog(engine, max_entries=settings.audit_max_entries),
        published=published,
        deployments=build_deployments(published, board.clock, robot, settings),
        rooms=rooms,
        remotes=remotes,
        trials=PhysicalTrials(published, maker, verbs, book=book, board=board, link=link, settings=settings),
        callers=_callers(accounts, settings),
        sockets=_sockets(accounts),
    )


def _callers(accounts: Accounts, settings: Settings) -> Callers:
    return Callers(
        identify=accounts.identify,
        known=accounts.known,
        recall=accounts.recall,
        redeem_ticket=accounts.redeem_ticket,
        trust_loopback=settings.trust_loopback,
    )


def _sockets(accounts: Accounts) -> OpenSockets:
    sockets = OpenSockets(accounts.scopes_now)
    accounts.listeners.append(sockets.check_soon)
    return sockets


def _config_book(
    engine: Engine, settings: Settings, link: ArmsLink, board: Board, shipped: Callable[[], GuardConfig]
) -> ConfigBook:
    return ConfigBook(
        ConfigStore(engine),
        board,
        link.publish_config,
        shipped=shipped,
        loosening=loosening,
        timeout_s=settings.verb_timeout_s,
    )


def _risk_log(engine: Engine, settings: Settings, link: ArmsLink, board: Board) -> tuple[RiskStore, RiskLog]:
    store = RiskStore(engine)
    log = RiskLog(
        store,
        link.glance_cycle,
        board.clock,
        max_events=settings.risk_log_max_events,
        max_age_days=settings.risk_log_max_age_days,
    )
    # A status is latched and may come once only, also before anything is open.
    board.recorder_listeners.append(log.note_recorder)
    return store, log


def _policies(settings: Settings, published: Published) -> PolicySources:
    def place(reference: CatalogReference) -> ResolvedPolicy:
        placed = published.checkpoints.place(reference.ref, reference.version)
        return ResolvedPolicy(str(placed.folder), revision=str(placed.item.version))

    hub = Hub(settings.data_dir / "hub", endpoint=settings.hf_endpoint, max_bytes=settings.hub_max_bytes)
    return PolicySources(settings.roots, hub, place=place)
