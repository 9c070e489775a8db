# SPDX-License-Identifier: Apache-2.0
"""YAML from strangers, as plain data: nothing is constructed but mappings, lists and scalars.

JSON is YAML, so this reads both. Belongs into a child process when the text is foreign: the parser is slow.
"""

from functools import cache
from typing import Any

from lerobot_arena.core.errors import InvalidInput

MOST_VALUES = 20_000
DEEPEST = 32
LARGEST_WHOLE = 1 << 53
_SLICE = "tag:yaml.org,2002:python/object/apply:builtins.slice"


def load(text: str | bytes, what: str, *, most_bytes: int) -> Any:
    """Mappings, lists, texts, numbers, booleans and None.

    The one tag it knows beside YAML's own is Isaac Lab's slice of everything, which becomes None. Raises InvalidInput
    for other tags, for keys that are there twice, and for aliases that multiply beyond MOST_VALUES.
    """
    import yaml

    text = _utf8(text, what)
    if len(text.encode()) > most_bytes:
        raise InvalidInput(f"{what} is longer than {most_bytes} bytes.")
    try:
        loader = _loader()(text)
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise InvalidInput(f"{what} is no YAML that is read here: {_said(error)}.") from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{what} is no YAML that is read here: {_said(error)}.") from error
    return _Plain(what).value(data, 0)


def _utf8(text: str | bytes, what: str) -> str:
    try:
        return text.decode() if isinstance(text, bytes) else text.encode().decode()
    except UnicodeError as error:
        raise InvalidInput(f"{what} is no UTF-8 text.") from error


@cache
def _loader() -> Any:
    """SafeLoader with the one tag, and without silent overwriting."""
    import yaml

    class Loader(yaml.SafeLoader):
        """See `load`."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            if isinstance(node, yaml.MappingNode):
                seen = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
                twice = next((key for key in seen if seen.count(key) > 1), None) if len(seen) < 1000 else None
                if twice is not None:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {twice[1][:60]!r} is there twice", node.start_mark
                    )
            return super().construct_mapping(node, deep)

    def everything(loader: Any, node: Any) -> None:
        parts = loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None
        if parts != [None, None, None]:
            raise yaml.constructor.ConstructorError(
                None, None, "only the slice of everything, [null, null, null], is known", node.start_mark
            )

    Loader.add_constructor(_SLICE, everything)
    return Loader


def _said(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    at = f" (line {mark.line + 1})" if mark is not None else ""
    return f"{str(problem).splitlines()[0][:200]}{at}"


class _Plain:
    """Copies what was read while counting, so that shared parts cannot become a flood."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen = 0

    def value(self, data: Any, depth: int) -> Any:
        self._seen += 1
        if self._seen > MOST_VALUES or depth > DEEPEST:
            raise InvalidInput(
                f"{self._what} has more than {MOST_VALUES} values, or is nested deeper than {DEEPEST}."
            )
        if isinstance(data, dict):
            return {self._key(key): self.value(item, depth + 1) for key, item in data.items()}
        if isinstance(data, list):
            return [self.value(item, depth + 1) for item in data]
        if isinstance(data, int) and not -LARGEST_WHOLE <= data <= LARGEST_WHOLE:
            raise InvalidInput(f"{self._what} has a whole number beyond ±2^53.")
        if data is None or isinstance(data, str | int | float | bool):
            return data
        raise InvalidInput(
            f"{self._what} has a {type(data).__name__}; only texts, numbers, lists and mappings are read."
        )

    def _key(self, key: Any) -> str:
        if not isinstance(key, str) or len(key) > 200:
            raise InvalidInput(f"{self._what} has a key that is no short text.")
        return key
