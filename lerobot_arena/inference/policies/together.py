# SPDX-License-Identifier: Apache-2.0
"""Several sessions answered by one call of the network; what fails for one is that one's answer only."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.policies.protocol import BatchedModel, BatchedPolicy, PolicyInput


def infer_together(
    model: BatchedModel, turns: Sequence[tuple[BatchedPolicy, Sequence[PolicyInput]]]
) -> list[FloatArray | Exception]:
    """One answer for each turn, in order: its actions H×D, or what its policy threw."""
    prepared = [attempt(policy.prepare, history) for policy, history in turns]
    sound = [index for index, found in enumerate(prepared) if not isinstance(found, Exception)]
    started = time.perf_counter()
    computed = dict(zip(sound, _compute(model, [prepared[index] for index in sound]), strict=True))
    network_ms = (time.perf_counter() - started) * 1e3
    answers: list[FloatArray | Exception] = []
    for index, (policy, history) in enumerate(turns):
        raw = computed.get(index, prepared[index])
        if not isinstance(raw, Exception):
            raw = attempt(policy.finish, raw, history, network_ms=network_ms)
        answers.append(raw)
    return answers


def attempt(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `work` returns, or the exception it threw: a policy may throw anything, and others wait for their turn."""
    try:
        return work(*arguments, **named)
    except Exception as error:
        return error


def _compute(model: BatchedModel, prepared: list[Any]) -> list[Any]:
    if not prepared:
        return []
    answers = attempt(model.compute, prepared)
    if not isinstance(answers, Exception):
        return list(answers)
    if len(prepared) == 1:
        return [answers]
    # They may not fit one batch, or one of them spoils it: alone each one shows which.
    return [_compute(model, [item])[0] for item in prepared]
