# SPDX-License-Identifier: Apache-2.0
"""The look at the guard's own machine: there, fresh, and never waited for."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.hardware import HostHealth
from lerobot_arena.guard.host_sampler import HostLook, HostSampler, look_at_host
from lerobot_arena.testing.bench import wait_until


@pytest.fixture
def samplers() -> Iterator[list[HostSampler]]:
    started: list[HostSampler] = []
    yield started
    for sampler in started:
        sampler.close()


def test_this_machine_tells_something(tmp_path: Path) -> None:
    health = look_at_host(tmp_path)
    assert health.memory_percent is not None and 0.0 < health.memory_percent <= 100.0
    assert health.cpu_percent is not None and 0.0 <= health.cpu_percent <= 100.0
    assert health.disk_free_bytes is not None and health.disk_free_bytes >= 0


def test_what_a_machine_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse() -> None:
        raise OSError("no such file: /sys/class/hwmon")

    monkeypatch.setattr(psutil, "sensors_temperatures", refuse, raising=False)
    health = look_at_host(tmp_path / "absent")
    assert (health.temperature_c, health.disk_free_bytes) == (None, None)
    assert health.memory_percent is not None


def test_before_the_first_look_nothing_has_an_age() -> None:
    sampler = HostSampler(look=HostHealth)
    assert sampler.latest == HostLook() and sampler.latest.age_s(5) < 0.0
    sampler.close()


def test_it_looks_again_and_again_and_a_look_that_hangs_only_ages(samplers: list[HostSampler]) -> None:
    clock, hung, go_on = ManualClock(), threading.Event(), threading.Event()
    looks = iter(range(1000))

    def look() -> HostHealth:
        number = next(looks)
        if number == 2:
            hung.set()
            go_on.wait(20.0)
        return HostHealth(cpu_percent=float(number))

    sampler = HostSampler(period_s=0.01, clock=clock, look=look)
    samplers.append(sampler)
    sampler.start()
    assert hung.wait(20.0)
    assert sampler.latest.health == HostHealth(cpu_percent=1.0)
    begun = time.monotonic()
    clock.advance(7.0)
    assert sampler.latest.age_s(clock.steady_ns()) == pytest.approx(7.0)
    assert time.monotonic() - begun < 1.0, "reading never waits for a look"
    go_on.set()
    wait_until("a fresh look", lambda: sampler.latest.health != HostHealth(cpu_percent=1.0))
    # It was taken before the clock moved, so it is as old as its beginning.
    wait_until("the next", lambda: sampler.latest.age_s(clock.steady_ns()) == 0.0)


def test_it_ends(samplers: list[HostSampler]) -> None:
    before = threading.active_count()
    sampler = HostSampler(look=HostHealth)
    sampler.start()
    wait_until("a look", lambda: sampler.latest.health is not None)
    sampler.close()
    assert threading.active_count() == before
