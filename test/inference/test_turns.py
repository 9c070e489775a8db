# SPDX-License-Identifier: Apache-2.0
"""Fairness at a shared policy, for any order of sessions, requests and batches."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lerobot_arena.core.cycle import ChunkRequest
from lerobot_arena.inference.turns import Job, Turns

NAMES = "abcdefgh"


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

    @rule(name=st.sampled_from(NAMES))
    def come(self, name: str) -> None:
        if name not in self.present:
            self.present.add(name)
            self.turns.add(name)

    @rule(name=st.sampled_from(NAMES))
    def go(self, name: str) -> None:
        self.present.discard(name)
        self.turns.leave(name)
        self._forget(name)

    @rule(name=st.sampled_from(NAMES), reset=st.booleans())
    def ask(self, name: str, reset: bool) -> None:
        self.sequence += 1
        self.turns.ask(name, job(name, self.sequence, reset=reset))
        if name in self.present:
            self.newest[name] = self.sequence
            self.served_since.setdefault(name, [])
            if reset:
                self.owes_reset.add(name)

    @rule()
    def drop(self) -> None:
        self.turns.drop()
        for name in list(self.newest):
            self._forget(name)

    @precondition(lambda self: self.newest)
    @rule(limit=st.integers(1, 10))
    def serve(self, limit: int) -> None:
        waiting = dict(self.newest)
        taken = self.turns.take(limit)
        names = [name for name, _ in taken]
        assert len(names) == len(set(names)) == min(limit, len(waiting))
        for name, found in taken:
            assert found.request.sequence == waiting[name], "only the newest request is served"
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


@given(st.permutations(NAMES), st.integers(1, 9))
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
