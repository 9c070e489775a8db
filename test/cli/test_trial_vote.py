# SPDX-License-Identifier: Apache-2.0
"""What a person answers after a trial: a vote is never guessed."""

import pytest
import typer

from lerobot_arena.cli import trial


@pytest.mark.parametrize(
    ("answers", "vote"),
    [
        (["l"], "left"),
        (["Left"], "left"),
        (["r"], "right"),
        (["right "], "right"),
        (["g"], "both_good"),
        (["good"], "both_good"),
        (["both good"], "both_good"),
        (["both_good"], "both_good"),
        (["BOTH  Good"], "both_good"),
        (["b"], "both_bad"),
        (["bad"], "both_bad"),
        (["both bad"], "both_bad"),
        (["both_bad"], "both_bad"),
        (["both", "better", "the left one", "", "lr", "g"], "both_good"),
    ],
)
def test_an_answer_is_what_it_says_or_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, answers: list[str], vote: str
) -> None:
    waiting = iter(answers)
    monkeypatch.setattr(typer, "prompt", lambda text: next(waiting))
    assert trial._asked() == vote
    assert next(waiting, None) is None
