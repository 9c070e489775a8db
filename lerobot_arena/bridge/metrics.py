# SPDX-License-Identifier: Apache-2.0
"""What Prometheus reads at /metrics: computed at each scrape from what the bridge knows."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lerobot_arena.bridge.control_status import shown_state
from lerobot_arena.bridge.services import Services
from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision

STATES = (IDLE, RUNNING, PAUSED, STOPPED, EMERGENCY)


class ArenaCollector(Collector):
    """A guard counts anew with its process and with each session, as counters may."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        yield from self._counters()
        yield from self._gauges()
        yield from self._bridge()

    def _counters(self) -> Iterator[Metric]:
        simple = {
            name: CounterMetricFamily(f"arena_{name}", text, labels=["arm"])
            for name, text in (
                ("cycles", "Control cycles while running."),
                ("late_cycles", "Cycles that came more than a period late."),
                ("commands", "Commands that left for the arm."),
                ("holds", "Cycles that sent nothing while running."),
                ("chunks_dropped", "Action chunks that were refused."),
            )
        }
        decisions = CounterMetricFamily(
            "arena_decisions", "Cycles by what the guard decided.", labels=["arm", "decision"]
        )
        for arm, facts in sorted(self._services.board.arms.items()):
            if facts.guard is None:
                continue
            guard = facts.guard.value
            counts = (
                guard.cycle_count,
                guard.late_cycles,
                guard.commands_sent,
                guard.holds,
                guard.chunks_dropped,
            )
            for family, count in zip(simple.values(), counts, strict=True):
                family.add_metric([arm], count)
            for decision, count in zip(Decision, guard.decisions, strict=True):
                decisions.add_metric([arm, decision.name], count)
        yield from simple.values()
        yield decisions

    def _gauges(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("arena_state", "1 for the state the arm is in.", labels=["arm", "state"])
        alive = GaugeMetricFamily("arena_guard_up", "1 while the guard reports.", labels=["arm"])
        risk = GaugeMetricFamily("arena_risk_level", "0 normal to 3 emergency.", labels=["arm"])
        config = GaugeMetricFamily(
            "arena_config_version",
            "Version of the boundaries in force; arm='' is the wanted one.",
            labels=["arm"],
        )
        stages = GaugeMetricFamily(
            "arena_stage_seconds", "Duration of a cycle's stage.", labels=["arm", "stage", "quantile"]
        )
        config.add_metric([""], self._services.config.config.version)
        for arm, facts in sorted(self._services.board.arms.items()):
            if facts.guard is None:
                continue
            guard, is_alive = facts.guard.value, self._services.board.is_fresh(facts.guard)
            embodiment = facts.embodiment.value if facts.embodiment is not None else None
            shown = shown_state(guard, embodiment, is_alive=is_alive)
            for name in STATES:
                state.add_metric([arm, name], float(name == shown))
            alive.add_metric([arm], float(is_alive))
            risk.add_metric([arm], int(guard.risk))
            config.add_metric([arm], guard.config_version)
            for stage in guard.stages:
                for quantile, ms in (("0.5", stage.p50_ms), ("0.95", stage.p95_ms), ("0.99", stage.p99_ms)):
                    stages.add_metric([arm, stage.name, quantile], ms / 1000)
        yield from (state, alive, risk, config, stages)

    def _bridge(self) -> Iterator[Metric]:
        services = self._services
        sessions = GaugeMetricFamily("arena_sessions", "Sessions by status.", labels=["status"])
        statuses = [
            services.book.view(session, input_timeout_s=services.settings.input_timeout_s).status
            for session in services.book.all()
        ]
        for status in sorted(set(statuses)):
            sessions.add_metric([status], statuses.count(status))
        watchers = GaugeMetricFamily("arena_watchers", "Clients of the telemetry socket.")
        watchers.add_metric([], services.feed.watcher_count)
        dropped = GaugeMetricFamily(
            "arena_dropped",
            "What present clients were too slow for, and what the risk log could not keep.",
            labels=["what"],
        )
        dropped.add_metric(["events"], sum(outbox.events_dropped for outbox in services.outboxes))
        dropped.add_metric(["frames"], sum(outbox.frames_dropped for outbox in services.outboxes))
        dropped.add_metric(["risk_events"], services.risk_log.dropped)
        yield from (sessions, watchers, dropped)


def registry_of(services: Services) -> CollectorRegistry:
    """A registry of this app's own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ArenaCollector(services))
    return registry
