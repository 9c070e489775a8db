# SPDX-License-Identifier: Apache-2.0
"""The audit log is written behind the answer: never waited for, bounded, and what is lost is counted."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine, text

from lerobot_arena.core.errors import Unavailable
from lerobot_arena.platform.accounts import batcher
from lerobot_arena.platform.accounts.audit import AuditEntry, AuditLog
from lerobot_arena.platform.accounts.batcher import Batcher


def entry(number: int = 0, **changes: object) -> AuditEntry:
    values = {"who": "ben", "via": "login", "address": "10.0.0.9", "method": "POST", "route": "/sessions"}
    return AuditEntry(**{**values, "path": f"/sessions/{number}", "status": 200, **changes})  # type: ignore[arg-type]


@pytest.fixture
def log(engine: Engine) -> Iterator[AuditLog]:
    made = AuditLog(engine, max_entries=1000)
    yield made
    made.close()


def test_entries_come_back_newest_first_and_in_pages(log: AuditLog) -> None:
    began = time.time()
    for number in range(5):
        log.note(entry(number))
    assert log.flush()
    found = log.newest(3)
    assert [each.path for each in found] == ["/sessions/4", "/sessions/3", "/sessions/2"]
    assert [each.path for each in log.newest(3, before=found[-1].id)] == ["/sessions/1", "/sessions/0"]
    assert (found[0].who, found[0].via, found[0].address, found[0].status) == (
        "ben",
        "login",
        "10.0.0.9",
        200,
    )
    assert began <= found[0].at <= time.time()


def test_whatever_was_asked_can_be_kept(log: AuditLog) -> None:
    odd = "/a\0b\ud800\n\x1b[31m" + "ü" * 2000
    log.note(entry(who=odd, via=odd, address=odd, method=odd, route=odd, path=odd))
    log.note(entry(path="/ws?ticket=secret"))
    assert log.flush() and log.dropped == 0
    last, first = log.newest(2)
    assert last.path == "/ws"
    assert len(first.path) == 1000 and len(first.who) == 64 and len(first.method) == 16
    assert all(char.isprintable() for char in first.path + first.who)


def test_the_oldest_go_when_there_are_too_many(log: AuditLog, engine: Engine) -> None:
    for number in range(2100):
        log.note(entry(number))
    assert log.flush(60.0)
    with engine.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM audit"))
    assert count is not None and 1000 <= count < 1500
    assert log.newest(1)[0].path == "/sessions/2099"


def test_strangers_push_out_nothing_but_each_other(engine: Engine) -> None:
    log = AuditLog(engine, max_entries=100)
    log.note(entry(who="anna", method="DELETE"))
    log.note(entry(who="local", via="local"))
    for number in range(1000):
        log.note(entry(number, who="anonymous", via="none", route="/auth/login", status=401))
        if number % 100 == 99:
            assert log.flush(60.0)
    with engine.connect() as connection:
        count = connection.scalar(text("SELECT count(*) FROM audit"))
    assert {each.who for each in log.newest(1000)} == {"anna", "local", "anonymous"}
    assert count is not None and count < 100 + 2 + 600, "strangers' entries are bounded, too"
    log.close()


def test_what_waits_is_written_at_the_end(engine: Engine) -> None:
    log = AuditLog(engine)
    log.note(entry(1))
    log.close()
    assert log.newest(1)[0].path == "/sessions/1"
    log.note(entry(2))
    assert log.dropped == 1


class Slow:
    """A database that takes as long as it is told."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.written: list[int] = []
        self.error: Exception | None = None

    def write(self, batch: Sequence[int]) -> None:
        self.begun.set()
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        self.written += batch


def test_nobody_waits_for_a_slow_database_and_what_is_lost_is_counted_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    queue = Batcher(slow.write, "the audit log", most_waiting=10, every_s=0.0)
    with caplog.at_level(logging.ERROR):
        queue.add(0)
        assert slow.begun.wait(10)
        begin = time.perf_counter()
        kept = [queue.add(number) for number in range(1, 1001)]
        assert time.perf_counter() - begin < 5.0
        assert kept == [True] * 10 + [False] * 990 and queue.dropped == 990
        slow.go.set()
        assert queue.flush()
        queue.close()
    assert slow.written == list(range(11))
    assert [record.message for record in caplog.records] == [
        "The audit log lost 1, 1 so far: the queue is full"
    ]


def test_a_database_that_is_away_for_a_while_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batcher, "_RETRY_S", 0.01)
    slow = Slow()
    slow.go.set()
    slow.error = Unavailable("The database does not answer.")
    queue = Batcher(slow.write, "the audit log", every_s=0.0)
    for number in range(3):
        queue.add(number)
    assert not queue.flush(0.2)
    slow.error = None
    assert queue.flush()
    assert slow.written == [0, 1, 2] and queue.dropped == 0
    assert len(caplog.records) == 1
    queue.close()


def test_a_batch_that_cannot_be_written_is_counted_and_the_next_one_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Slow()
    slow.go.set()
    slow.error = ValueError("odd")
    queue = Batcher(slow.write, "the audit log", every_s=0.0)
    queue.add(1)
    assert queue.flush() and queue.dropped == 1
    slow.error = None
    queue.add(2)
    assert queue.flush() and slow.written == [2]
    queue.close()
    assert "could not be written" in caplog.text


def test_closing_gives_up_on_a_database_that_stays_away() -> None:
    slow = Slow()
    slow.go.set()
    slow.error = Unavailable("The database does not answer.")
    queue = Batcher(slow.write, "the audit log", every_s=0.0)
    queue.add(1)
    begin = time.perf_counter()
    queue.close(1.0)
    assert time.perf_counter() - begin < 5.0 and queue.dropped == 1
