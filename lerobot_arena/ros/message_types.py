# SPDX-License-Identifier: Apache-2.0
"""Message classes by the names that ROS's graph gives them."""

import importlib
from functools import cache

from lerobot_arena.core.errors import NotFound


@cache
def message_class(type_name: str) -> type:
    """The class of `package/msg/Type`. Raises NotFound when its package is not installed for this Python."""
    package, _, name = type_name.partition("/msg/")
    try:
        found = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotFound(
            f"{type_name} is not installed for this Python: source the workspace that has it."
        ) from error
    return found  # type: ignore[no-any-return]
