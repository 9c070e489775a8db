# SPDX-License-Identifier: Apache-2.0
"""What belongs together, by receipt and by capture; every miss says why."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.inference.sync import Item, Match, Miss, Synchroniser, SyncRules

SOURCES = ("front", "joints")
RULES = SyncRules(stale_s=0.5, skew_s=0.1, future_s=0.1, history_s=0.4, shares_clock=True)


class Feed:
    """A synchroniser and a clock that stands still."""

    def __init__(self, rules: SyncRules = RULES) -> None:
        self.clock = ManualClock()
        self.sync: Synchroniser[str] = Synchroniser(SOURCES, rules)

    def add(self, source: str, payload: str, *, delay_s: float = 0.0, stamp_ns: int | None = None) -> str:
        """`payload`, captured `delay_s` before now."""
        stamp = self.clock.wall_ns() - round(delay_s * NS) if stamp_ns is None else stamp_ns
        return self.sync.add(source, Item(stamp, self.clock.now_ns, payload), wall_ns=self.clock.wall_ns())

    def observe(self, **how: float) -> list[Match[str]] | Miss:
        return self.sync.observe(self.clock.now_ns, **how)  # type: ignore[arg-type]

    def payloads(self) -> dict[str, str]:
        found = self.observe()
        assert not isinstance(found, Miss), found
        return {name: item.payload for name, item in found[-1].items.items()}

    def reason(self) -> str:
        found = self.observe()
        assert isinstance(found, Miss)
        return found.reason


def test_a_missing_source_is_named() -> None:
    feed = Feed()
    assert feed.reason() == "nothing from front yet"
    feed.add("front", "f")
    assert feed.reason() == "nothing from joints yet"


def test_staleness_counts_from_receipt_whatever_the_stamp_says() -> None:
    feed = Feed()
    feed.add("front", "f")
    feed.add("joints", "j")
    feed.clock.advance(0.5)
    assert feed.payloads() == {"front": "f", "joints": "j"}
    feed.clock.advance(0.001)
    assert "front is stale" in feed.reason()


def test_one_silent_source_is_enough_for_a_miss() -> None:
    feed = Feed()
    feed.add("front", "f")
    for _ in range(10):
        feed.clock.advance(0.06)
        feed.add("joints", "j")
    assert "front is stale: its latest is 0.60 s old, limit 0.5 s" in feed.reason()


def test_what_was_captured_together_is_chosen_though_it_arrives_apart() -> None:
    feed = Feed()
    for step in range(6):
        feed.add("joints", f"j{step}")
        feed.clock.advance(0.02)
    feed.add("front", "f", delay_s=0.08)  # shown when j2 was measured
    assert feed.payloads() == {"front": "f", "joints": "j2"}


def test_receipt_stands_in_where_clocks_differ_and_the_latest_counts() -> None:
    feed = Feed(SyncRules(prefer_newest=True))
    feed.add("front", "f", stamp_ns=5)
    feed.add("joints", "old", stamp_ns=10**18)
    feed.clock.advance(0.05)
    feed.add("joints", "new", stamp_ns=3)
    assert feed.payloads() == {"front": "f", "joints": "new"}


def test_unstamped_messages_are_compared_by_receipt() -> None:
    feed = Feed()
    feed.add("front", "f", stamp_ns=0)
    feed.add("joints", "j")
    assert feed.payloads() == {"front": "f", "joints": "j"}


def test_skew_beyond_the_bound_is_a_miss_that_names_both() -> None:
    feed = Feed()
    feed.add("front", "f")
    feed.clock.advance(0.2)
    feed.add("joints", "j")
    assert feed.reason() == "joints was captured 0.200 s after front, limit 0.1 s"


def test_the_future_is_refused_on_a_shared_clock_only() -> None:
    feed = Feed()
    ahead = feed.clock.wall_ns() + 3 * NS
    feed.add("joints", "j")
    assert "3.000 s in the future" in feed.add("front", "f", stamp_ns=ahead)
    assert "3.000 s in the future" in feed.reason()
    other = Feed(SyncRules())
    assert other.add("front", "f", stamp_ns=ahead) == ""


def test_what_was_captured_long_before_it_arrived_is_refused() -> None:
    feed = Feed()
    assert "captured 2.000 s before" in feed.add("front", "f", delay_s=2.0)


def test_a_clock_that_goes_back_starts_a_new_history() -> None:
    feed = Feed()
    feed.add("front", "after")
    feed.add("front", "before", delay_s=0.3)
    feed.add("joints", "j", delay_s=0.3)
    assert feed.payloads()["front"] == "before"


def test_history_reaches_back_in_steps_and_repeats_its_first_item() -> None:
    feed = Feed()
    for step in range(4):
        feed.add("front", f"f{step}")
        feed.add("joints", f"j{step}")
        feed.clock.advance(0.1)
    found = feed.observe(count=6, dt_s=0.1)
    assert not isinstance(found, Miss)
    assert [match.items["front"].payload for match in found] == ["f0", "f0", "f0", "f1", "f2", "f3"]


def test_memory_is_bounded_by_time_and_by_number() -> None:
    feed = Feed()
    for _ in range(2000):
        feed.add("joints", "j")
        feed.clock.advance(0.0001)
    assert len(feed.sync._sources["joints"].items) <= 256
    feed.clock.advance(1.0)
    feed.add("joints", "j")
    assert len(feed.sync._sources["joints"].items) == 1


arrivals = st.lists(
    st.tuples(
        st.sampled_from(SOURCES),
        st.integers(0, 120),  # ms since the previous arrival
        st.integers(-150, 300),  # ms between capture and arrival; negative: stamped in the future
    ),
    max_size=40,
)


@given(arrivals, st.booleans(), st.booleans(), st.integers(0, 700))
def test_an_observation_is_complete_fresh_and_within_the_skew(
    messages: list[tuple[str, int, int]], shares_clock: bool, newest: bool, wait_ms: int
) -> None:
    rules = SyncRules(stale_s=0.5, skew_s=0.1, future_s=0.05, shares_clock=shares_clock, prefer_newest=newest)
    feed = Feed(rules)
    kept: dict[str, list[str]] = {name: [] for name in SOURCES}
    for number, (source, gap_ms, delay_ms) in enumerate(messages):
        feed.clock.advance(gap_ms / 1000)
        refusal = feed.add(source, str(number), delay_s=delay_ms / 1000)
        assert bool(refusal) == (shares_clock and delay_ms < -50)
        if not refusal:
            kept[source].append(str(number))
    feed.clock.advance(wait_ms / 1000)
    found = feed.observe()
    if isinstance(found, Miss):
        assert found.reason
        return
    (match,) = found
    assert set(match.items) == set(SOURCES)
    assert all(item.payload in kept[name] for name, item in match.items.items())
    times = [item.stamp_ns if shares_clock else item.receipt_ns for item in match.items.values()]
    assert max(times) - min(times) == round(match.skew_s * NS) <= round(rules.skew_s * NS)
    if newest:
        assert all(item.payload == kept[name][-1] for name, item in match.items.items())
    latest_ns = [feed.sync._sources[name].items[-1].receipt_ns for name in SOURCES]
    assert feed.clock.now_ns - min(latest_ns) <= 0.5 * NS
