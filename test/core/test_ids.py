# SPDX-License-Identifier: Apache-2.0
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core import topics
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.ids import check_arm, check_id, escape, unescape

TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@given(st.text(min_size=1, max_size=64))
def test_every_id_becomes_a_ros_token_and_comes_back(value: str) -> None:
    token = escape(value)
    assert TOKEN.fullmatch(token), token
    assert "__" not in token and not token.endswith("_")
    assert unescape(token) == value


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_two_ids_never_share_a_token(first: str, second: str) -> None:
    assert (escape(first) == escape(second)) == (first == second)


@pytest.mark.parametrize("token", ["a__b", "Zff", "7", "Z41", "a_", "Zz"])
def test_a_token_nobody_escaped_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput):
        unescape(token)


@pytest.mark.parametrize("value", ["", "a/b", " a", "a\n", "..", "x" * 65])
def test_impossible_ids_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_id(value, "session_id")


@pytest.mark.parametrize("value", ["", "/arm", "7arm", "a__b", "arm/", "a-b"])
def test_impossible_arms_are_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_arm(value)


def test_a_room_too_long_for_a_topic_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shorten"):
        topics.room("é" * 60, "é" * 60)
