# SPDX-License-Identifier: Apache-2.0
"""Virtual arms: bounded, first come first served."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.session import SessionsWanted, SessionWanted
from lerobot_arena.guard.fleet import plan_fleet


def wanted(*arms: str) -> SessionsWanted:
    return SessionsWanted(1, tuple(SessionWanted(arm, arm, "demo", is_virtual=arm != "arm") for arm in arms))


def test_real_arms_are_not_its_business() -> None:
    change = plan_fleet(wanted("arm", "virtual/a"), [], 8)
    assert change.opened == ("virtual/a",) and not change.refused


def test_what_is_guarded_stays_when_room_is_short() -> None:
    change = plan_fleet(wanted("a", "b", "c"), ["b"], 2)
    assert (change.opened, change.closed, change.refused) == (("a",), (), ("c",))


def test_a_deleted_session_makes_room() -> None:
    change = plan_fleet(wanted("b", "c"), ["a", "b"], 2)
    assert (change.opened, change.closed, change.refused) == (("c",), ("a",), ())


@given(
    arms=st.lists(st.sampled_from("abcdefgh"), max_size=12),
    guarded=st.sets(st.sampled_from("abcdefgh"), max_size=4),
    limit=st.integers(4, 6),
)
def test_every_arm_is_kept_opened_or_refused_and_the_limit_holds(
    arms: list[str], guarded: set[str], limit: int
) -> None:
    change = plan_fleet(wanted(*arms), sorted(guarded), limit)
    after = (guarded - set(change.closed)) | set(change.opened)
    assert len(after) <= limit
    assert after | set(change.refused) == set(arms)
