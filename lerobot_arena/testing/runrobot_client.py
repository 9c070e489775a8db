# SPDX-License-Identifier: Apache-2.0
"""The `runrobot` client from PyPI, as it is; only its 0.2.0 cannot be imported before Python 3.14.

One of its type aliases joins a class and a string by `|`. The alias is used in annotations only.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

_ALIAS = ' | "UploadFile"\n'


@cache
def load_runrobot() -> ModuleType:
    """The module. Raises ModuleNotFoundError when it is not installed."""
    found = importlib.util.find_spec("runrobot")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("runrobot is not installed")
    source = Path(found.origin).read_text()
    module = ModuleType("runrobot")
    module.__file__ = found.origin
    # Its dataclasses look their module up.
    sys.modules["runrobot"] = module
    exec(compile(source.replace(_ALIAS, "\n"), found.origin, "exec"), module.__dict__)
    return module
