# SPDX-License-Identifier: Apache-2.0
"""Fairness at a shared policy, for any order of sessions, requests and batches."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.inference.turns import Job, Turns

NAMES = "abcd"
SOME = st.sets(st.sampled_from(NAMES), min_size=1)


def job(session_id: str, sequence: int = 1, *, reset: bool = False) -> Job:
    return Job(ChunkRequest(session_id, 1, sequence, reset), sequence)


class SharedPolicy(RuleBasedStateMachine):
    """Beside the scheduler, what each session waits for and who was served since it began to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.present: set[str] = set()
        self.newest: dict[str, int] = {}
        self.owes_reset: set[str] = set()
        self.served_since: dict[str, list[str]] = {}
        self.sequence = 0
        self.come(set(NAMES))

    @rule(names=SOME)
    def come(self, names: set[str]) -> None:
        self.present |= names
        for name in sorted(names):
            self.turns.add(name)

    @rule(names=SOME, is_process_lost=st.booleans())
    def end(self, names: set[str], is_process_lost: bool) -> None:
        """Sessions go, or the process does and with it all that waits."""
        if is_process_lost:
            self.turns.drop()
        else:
            self.present -= names
        for name in list(self.newest) if is_process_lost else names:
            self._forget(name)
            if not is_process_lost:
                self.turns.leave(name)

    @rule(names=st.permutations(NAMES), count=st.integers(1, len(NAMES)), reset=st.booleans())
    def ask(self, names: list[str], count: int, reset: bool) -> None:
        for name in names[:count]:
            self.sequence += 1
            self.turns.ask(name, job(name, self.sequence, reset=reset))
            if name in self.present:
                self.newest[name] = self.sequence
                self.served_since.setdefault(name, [])
                if reset:
                    self.owes_reset.add(name)

    @rule(limit=st.integers(1, 3))
    def serve(self, limit: int) -> None:
        taken = self.turns.take(limit)
        names = [name for name, _ in taken]
        assert len(names) == len(set(names)) == min(limit, len(self.newest))
        for name, found in taken:
            assert found.request.sequence == self.newest[name], "only the newest request is served"
            assert found.request.reset == (name in self.owes_reset), "a reset is neither lost nor invented"
            self._forget(name)
        for others in self.served_since.values():
            others.extend(names)

    @invariant()
    def nobody_is_served_twice_while_another_waits(self) -> None:
        for name, others in self.served_since.items():
            assert len(others) == len(set(others)), f"{name} waited through {others}"

    @invariant()
    def it_says_whether_one_waits(self) -> None:
        assert bool(self.turns) == bool(self.newest)

    def _forget(self, name: str) -> None:
        self.newest.pop(name, None)
        self.served_since.pop(name, None)
        self.owes_reset.discard(name)


TestSharedPolicy = SharedPolicy.TestCase


@given(st.permutations(NAMES), st.integers(1, 5))
def test_in_a_closed_loop_everyone_has_the_same_number_of_turns(order: list[str], limit: int) -> None:
    turns, counts = Turns(), dict.fromkeys(NAMES, 0)
    for name in order:
        turns.add(name)
        turns.ask(name, job(name))
    for _ in range(40):
        for name, _job in turns.take(limit):
            counts[name] += 1
            turns.ask(name, job(name))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_a_session_that_left_leaves_nothing_behind() -> None:
    turns = Turns()
    turns.add("a")
    turns.ask("a", job("a"))
    turns.leave("a")
    turns.ask("a", job("a", 2))
    assert not turns
    assert turns.take(8) == []
