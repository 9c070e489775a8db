# SPDX-License-Identifier: Apache-2.0
"""One lock: after stop or e-stop have returned, nothing can leave."""

import contextlib
import threading
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.session import EMERGENCY, IDLE, RUNNING, STOPPED
from lerobot_arena.guard.state_machine import StateMachine


def machine() -> StateMachine[str]:
    epochs = count(100)
    return StateMachine(lambda: next(epochs))


def test_it_begins_idle_and_disarmed() -> None:
    made = machine()
    assert made.status.state == IDLE
    assert not made.commit(0, lambda: pytest.fail("sent"))


def test_a_start_is_refused_with_all_reasons_and_leaves_the_state() -> None:
    made = machine()
    with pytest.raises(Conflict, match=r"No joints\. No policy\."):
        made.start(["No joints.", "No policy."], str)
    assert made.status.state == IDLE


def test_a_start_whose_building_fails_leaves_the_state() -> None:
    made = machine()
    with pytest.raises(ValueError, match="broken"):
        made.start([], lambda epoch: (_ for _ in ()).throw(ValueError("broken")))
    assert made.status.state == IDLE


def test_only_the_running_epoch_sends() -> None:
    made = machine()
    sent: list[int] = []
    one = made.start([], str).epoch
    assert made.commit(one, lambda: sent.append(one))
    made.stop()
    two = made.start([], str).epoch
    assert two > one
    assert not made.commit(one, lambda: sent.append(-1))
    assert made.commit(two, lambda: sent.append(two))
    assert sent == [one, two]


def test_a_stop_for_an_old_epoch_does_not_end_the_new_run() -> None:
    made = machine()
    old = made.start([], str).epoch
    made.stop()
    made.start([], str)
    assert not made.stop("late news", epoch=old)
    assert made.status.state == RUNNING


def test_the_first_reason_of_an_emergency_stays() -> None:
    made = machine()
    made.start([], str)
    assert made.estop("first") and not made.estop("second")
    assert made.status.message == "first" and made.status.run_was_cut
    made.reset("done")
    assert (made.status.state, made.status.message) == (IDLE, "done")
    made.start([], str)
    with pytest.raises(Conflict, match="not latched"):
        made.reset("again")


class Verbs(RuleBasedStateMachine):
    """Any order of verbs against a model of four states."""

    def __init__(self) -> None:
        super().__init__()
        self.made = machine()
        self.model = IDLE
        self.epochs: list[int] = []

    @rule(ready=st.booleans())
    def start(self, ready: bool) -> None:
        if ready and self.model in {IDLE, STOPPED}:
            self.epochs.append(self.made.start([], str).epoch)
            self.model = RUNNING
        else:
            with pytest.raises(Conflict):
                self.made.start([] if ready else ["not ready"], str)

    @rule()
    def stop(self) -> None:
        assert self.made.stop("stop") == (self.model == RUNNING)
        self.model = STOPPED if self.model == RUNNING else self.model

    @rule()
    def estop(self) -> None:
        self.made.estop("e-stop")
        self.model = EMERGENCY

    @rule(caused=st.booleans())
    def reset(self, caused: bool) -> None:
        if self.model == RUNNING or (caused and self.model == EMERGENCY):
            with pytest.raises(Conflict):
                self.made.reset("reset", ["cause"] if caused else [])
        else:
            self.made.reset("reset", ["cause"] if caused else [])
            self.model = IDLE

    @invariant()
    def agrees(self) -> None:
        assert self.made.status.state == self.model
        assert self.epochs == sorted(set(self.epochs))
        sent: list[int] = []
        for epoch in self.epochs:
            self.made.commit(epoch, lambda epoch=epoch: sent.append(epoch))
        assert sent == (self.epochs[-1:] if self.model == RUNNING else [])


TestVerbs = Verbs.TestCase
TestVerbs.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def race(verb: str) -> list[bool]:
    """Two threads commit as fast as they can; whether each command left after the verb had returned."""
    made = machine()
    epoch = made.start([], str).epoch
    begun, returned = threading.Event(), threading.Event()
    too_late: list[bool] = []

    def send() -> None:
        too_late.append(returned.is_set())
        begun.set()

    def tick() -> None:
        while made.commit(epoch, send):
            pass

    threads = [threading.Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(5)
    getattr(made, verb)("now")
    returned.set()
    for thread in threads:
        thread.join(5)
    return too_late


@pytest.mark.parametrize("verb", ["stop", "estop"])
def test_no_command_leaves_once_the_verb_has_returned(verb: str) -> None:
    for _ in range(50):
        assert not any(race(verb))


def race_start_and_estop() -> str:
    made = machine()
    barrier = threading.Barrier(2)

    def start() -> None:
        barrier.wait()
        with contextlib.suppress(Conflict):
            made.start([], str)

    thread = threading.Thread(target=start)
    thread.start()
    barrier.wait()
    made.estop("e-stop")
    thread.join(5)
    return made.status.state


def test_an_estop_during_a_start_wins() -> None:
    assert {race_start_and_estop() for _ in range(50)} == {EMERGENCY}
