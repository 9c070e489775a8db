# SPDX-License-Identifier: Apache-2.0
"""Reading numbers and keys that somebody uploaded; every sentence names the key, and all missing keys at once."""

from collections.abc import Iterable, Mapping
from typing import Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput

LONGEST_NAME = 128
LARGEST = 1e9
"""No length, gain or angle of a robot is larger; squares of it are still finite."""


def missing(entry: Mapping[str, Any], wanted: Iterable[str]) -> list[str]:
    """Keys that are not there, or are null."""
    return [key for key in wanted if entry.get(key) is None]


def required(entry: Mapping[str, Any], wanted: Iterable[str], where: str) -> None:
    """Raises InvalidInput naming every key of `wanted` that is not there."""
    absent = missing(entry, wanted)
    if absent:
        raise InvalidInput(f"{where}: missing {'key' if len(absent) == 1 else 'keys'} {', '.join(absent)}.")


def vector(value: Any, length: int, what: str, *, lowest: float = -LARGEST) -> tuple[float, ...]:
    """Exactly `length` finite numbers from `lowest` to LARGEST."""
    is_list = isinstance(value, list | tuple)
    if not is_list or len(value) != length:
        got = f"{len(value)}" if is_list else type(value).__name__
        raise InvalidInput(f"{what} must have {length} numbers, got {got}.")
    return tuple(strict.number(item, f"{what}[{index}]", lowest, LARGEST) for index, item in enumerate(value))


def pair(value: Any, what: str) -> tuple[float, float]:
    """[lowest, highest]."""
    low, high = vector(value, 2, what)
    if low > high:
        raise InvalidInput(f"{what} must be [lowest, highest], got [{low:g}, {high:g}].")
    return low, high


def plain_name(value: Any, what: str) -> str:
    """A joint's or tensor's name; unlike a person's name for something it may have slashes."""
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME or not value.isprintable():
        raise InvalidInput(f"{what} must be 1 to {LONGEST_NAME} printable characters.")
    return value


def plain_names(value: Any, what: str, most: int) -> tuple[str, ...]:
    """1 to `most` different short names."""
    named = name_list(value, what, most)
    twice = sorted({item for item in named if named.count(item) > 1})
    if twice:
        raise InvalidInput(f"{what} names {', '.join(twice[:5])} more than once.")
    return named


def name_list(value: Any, what: str, most: int) -> tuple[str, ...]:
    """1 to `most` short names, which may repeat."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
        raise InvalidInput(f"{what} must be a list of 1 to {most} names.")
    return tuple(plain_name(item, f"{what}[{index}]") for index, item in enumerate(value))
