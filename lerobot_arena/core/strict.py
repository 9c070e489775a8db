# SPDX-License-Identifier: Apache-2.0
"""Reading what people wrote: every function raises InvalidInput that says where, what, and the nearest good value."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from math import isfinite
from typing import Any, SupportsFloat

from lerobot_arena.core.errors import InvalidInput

LONGEST_NAME = 64
LONGEST_TEXT = 2000


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """` Did you mean …? Known: …`, to end a sentence with."""
    names = list(known)
    near = get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{hint} Known: {', '.join(names) or 'none'}."


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} must be a mapping, got {type(value).__name__}.")
    return value


def only(entry: Mapping[str, Any], known: Collection[str] | type, where: str) -> None:
    """No other keys than `known`, or the fields of that dataclass."""
    names = [item.name for item in fields(known)] if isinstance(known, type) else sorted(known)
    for key in entry:
        if key not in names:
            raise InvalidInput(f"{where}: unknown key {key!r}.{did_you_mean(key, names)}")


def choice(value: Any, known: Sequence[str], what: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise InvalidInput(f"{what} is {value!r}.{did_you_mean(value, known)}")
    return value


def name(value: Any, what: str) -> str:
    """A short name that can stand in a URL's path."""
    is_good = isinstance(value, str) and value.isprintable() and value.strip() == value and "/" not in value
    if not is_good or not 1 <= len(value) <= LONGEST_NAME:
        raise InvalidInput(
            f"{what} must be 1 to {LONGEST_NAME} printable characters without '/' or outer spaces, got {value!r}."
        )
    return str(value)


def text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise InvalidInput(f"{what} must be a text of at most {LONGEST_TEXT} characters.")
    return value


def flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} must be true or false, got {value!r}.")
    return value


def is_finite(value: SupportsFloat) -> bool:
    """Whether a float can hold it; JSON and YAML have whole numbers that are larger."""
    try:
        return isfinite(value)
    except OverflowError:
        return False


def is_number(value: Any) -> bool:
    """A finite number that is no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def number(value: Any, what: str, lowest: float, highest: float) -> float:
    if not is_number(value) or not lowest <= value <= highest:
        raise InvalidInput(f"{what} must be a number from {lowest:g} to {highest:g}, got {value!r}.")
    return float(value)


def whole(value: Any, what: str, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidInput(f"{what} must be a whole number from {lowest} to {highest}, got {value!r}.")
    return value


def numbers(value: Any, length: int, what: str) -> tuple[float, ...]:
    """`length` finite numbers, or none when nothing is given."""
    if value is None or value == [] or value == ():
        return ()
    is_list = isinstance(value, list | tuple)
    if not is_list or len(value) != length or not all(map(is_number, value)):
        raise InvalidInput(f"{what} must be {length} finite numbers, got {value!r}.")
    return tuple(map(float, value))


def names(value: Any, what: str, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """A list of names, each once and, when `known` is given, each of those."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InvalidInput(f"{what} must be a list of names.")
    for item in value:
        if known is not None and item not in known:
            raise InvalidInput(f"{what}: there is no {item!r}.{did_you_mean(item, known)}")
    return tuple(dict.fromkeys(value))
