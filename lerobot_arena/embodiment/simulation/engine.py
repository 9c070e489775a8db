# SPDX-License-Identifier: Apache-2.0
"""The one place that imports MuJoCo, because its OpenGL backend is fixed by the environment at import."""

import ctypes
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
    """The mujoco module, imported with a headless OpenGL backend. Raises Unavailable when it is not installed."""
    os.environ["MUJOCO_GL"] = gl_backend()
    try:
        import mujoco as module
    except ImportError as error:
        raise Unavailable(
            f"The simulator cannot start ({error}). Install it with `pip install 'lerobot_arena[sim]'`."
        ) from error
    return module
