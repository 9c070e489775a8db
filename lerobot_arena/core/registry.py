# SPDX-License-Identifier: Apache-2.0
"""Name → class, imported only on use; an unknown name is answered with the nearest one."""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from lerobot_arena.core.errors import InvalidInput


class Registry:
    """A table of `name: "module:Attribute"` lines; adding one more thing is adding one line."""

    def __init__(self, what: str, table: Mapping[str, str]) -> None:
        self.what = what
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def load(self, name: str) -> Any:
        """The class or function behind `name`. Raises InvalidInput for an unknown name, with the nearest one."""
        if name not in self._table:
            near = difflib.get_close_matches(name, self._table, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidInput(
                f"There is no {self.what} {name!r}.{hint} Known: {', '.join(sorted(self._table))}."
            )
        module, _, attribute = self._table[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
