# SPDX-License-Identifier: Apache-2.0
"""What the demo does next, against a small world that obeys its verbs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.cli.demo.episodes import EpisodeLoop, Seen, Step

READY = Seen("ready", episode=1)
RUNNING = replace(READY, status="running")


class World:
    """A session and a scene; the referee's word arrives one look late, as topics do."""

    def __init__(self) -> None:
        self.seen = READY
        self.late_by_a_look: Seen | None = None
        self.loop = EpisodeLoop()
        self.now_s = 0.0
        self.verbs: list[Step] = []

    def look(self) -> Step:
        self.now_s += 0.1
        shown, self.late_by_a_look = self.late_by_a_look or self.seen, None
        step = self.loop.next(shown, self.now_s)
        if step is not Step.WAIT:
            self.verbs.append(step)
            before = self.seen
            if step is Step.START:
                self.seen = replace(self.seen, status="running", message="")
            elif step is Step.STOP:
                self.seen = replace(self.seen, status="stopped", message="")
            else:
                self.late_by_a_look = self.seen
                self.seen = replace(self.seen, episode=self.seen.episode + 1, is_over=False, is_success=False)
            self.loop.answered(step, before)
        return step

    def looks(self, count: int) -> None:
        for _ in range(count):
            self.look()


def test_an_episode_is_stopped_reset_and_started_again_and_counted_once() -> None:
    world = World()
    for number in range(1, 4):
        world.looks(5)
        assert world.seen.status == "running" and world.seen.episode == number
        world.seen = replace(world.seen, is_over=True, is_success=number != 2)
        world.looks(6)
    assert (world.loop.episodes, world.loop.successes) == (3, 2)
    assert world.verbs == [Step.START] + [Step.STOP, Step.RESET_SCENE, Step.START] * 3


def test_it_waits_while_the_policy_loads() -> None:
    loop = EpisodeLoop()
    assert loop.next(Seen("initializing"), 0.0) is Step.WAIT
    assert loop.next(Seen("ready"), 1.0) is Step.START


def test_a_scene_that_is_over_already_is_reset_before_the_first_start() -> None:
    world = World()
    world.seen = replace(READY, is_over=True)
    world.looks(4)
    assert world.verbs == [Step.RESET_SCENE, Step.START]
    assert world.loop.episodes == 0


def test_nothing_is_started_under_an_estop_nor_after_its_reset_until_a_person_does() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(world.seen, status="stopped", is_estopped=True, message="The e-stop is latched")
    world.looks(30)
    world.seen = replace(world.seen, is_estopped=False, message="", is_over=True)
    world.looks(100)
    assert world.verbs == [Step.START]
    assert "stopped the session" in world.loop.waiting_for
    world.seen = replace(world.seen, status="running")
    world.looks(6)
    assert world.loop.episodes == 0, "an interrupted episode is nobody's result"
    assert world.verbs == [Step.START, Step.STOP, Step.RESET_SCENE, Step.START]
    assert world.loop.waiting_for == ""


def test_a_message_left_by_an_estop_is_no_failure_to_recover_from() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(world.seen, status="stopped", is_estopped=True, message="e-stop")
    world.looks(3)
    world.seen = replace(world.seen, is_estopped=False, message="e-stop was reset: start again")
    world.looks(100)
    assert world.verbs == [Step.START]


def test_an_estop_that_came_and_went_between_two_looks_is_seen_by_what_it_left() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(
        world.seen, status="stopped", message="Stopped by the e-stop, which has been reset: start again."
    )
    world.looks(100)
    assert world.verbs == [Step.START]


def test_a_session_somebody_stopped_stays_stopped() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(world.seen, status="stopped")
    world.looks(100)
    assert world.verbs == [Step.START]


def test_a_failure_is_started_again_after_a_while_and_counted() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(world.seen, status="stopped", message="inference gave no action chunk for 1.0 s")
    world.looks(10)
    assert world.verbs == [Step.START]
    world.looks(20)
    assert world.verbs == [Step.START, Step.START]
    assert world.loop.interruptions == 1
    world.seen = replace(world.seen, is_over=True)
    world.looks(6)
    assert (world.loop.episodes, world.loop.successes) == (1, 0), "what a failure spoiled counts"


def test_a_restarted_simulator_counts_from_one_again_and_the_demo_goes_on() -> None:
    world = World()
    world.looks(3)
    world.seen = replace(world.seen, is_over=True)
    world.looks(6)
    world.seen = Seen("running", episode=1)
    world.looks(3)
    world.seen = replace(world.seen, is_over=True, is_success=True)
    world.looks(6)
    assert (world.loop.episodes, world.loop.successes) == (2, 1)


@given(
    st.lists(
        st.builds(
            Seen,
            status=st.sampled_from(["initializing", "ready", "running", "stopped", "error", "timeout"]),
            message=st.sampled_from(["", "why"]),
            is_estopped=st.booleans(),
            episode=st.integers(0, 3),
            is_over=st.booleans(),
            is_success=st.booleans(),
        ),
        max_size=60,
    )
)
def test_it_never_starts_or_resets_under_an_estop_and_never_resets_a_running_scene(
    sights: list[Seen],
) -> None:
    loop = EpisodeLoop()
    for number, seen in enumerate(sights):
        step = loop.next(seen, number * 0.5)
        if step is not Step.WAIT:
            assert not (
                seen.is_estopped and step in {Step.START, Step.RESET_SCENE} and seen.status != "running"
            )
            assert (step is Step.STOP) == (seen.status == "running")
            loop.answered(step, seen)
    assert 0 <= loop.successes <= loop.episodes
