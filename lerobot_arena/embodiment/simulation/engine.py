# SPDX-License-Identifier: Apache-2.0
"""The one place that imports MuJoCo, because its OpenGL backend is fixed by the environment at import."""

import ctypes
import importlib
import importlib.util
import os
from typing import Any

from lerobot_arena.core.errors import Unavailable

GL_REMEDY = (
    "Rendering needs OpenGL without a screen: `apt-get install libegl1 libgl1-mesa-dri` "
    "(or libosmesa6, with MUJOCO_GL=osmesa)."
)
_LIBRARY_OF_BACKEND = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def gl_backend() -> str:
    """The backend MuJoCo will render with: $MUJOCO_GL, else EGL, else OSMesa, else "disable" (physics only)."""
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen:
        return chosen
    return next((name for name, library in _LIBRARY_OF_BACKEND.items() if _loads(library)), "disable")


def mujoco() -> Any:
    """The mujoco module, imported with a headless OpenGL backend. Raises Unavailable, saying what to install."""
    if importlib.util.find_spec("mujoco") is None:
        raise Unavailable(
            "The simulator needs MuJoCo, which is not installed: `pip install 'lerobot_arena[sim]'`."
        )
    os.environ["MUJOCO_GL"] = backend = gl_backend()
    try:
        return importlib.import_module("mujoco")
    except Exception as error:  # a missing library fails as ImportError, AttributeError or RuntimeError
        raise Unavailable(f"MuJoCo cannot start with MUJOCO_GL={backend} ({error}). {GL_REMEDY}") from error
