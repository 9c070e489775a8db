# SPDX-License-Identifier: Apache-2.0
"""Camera pictures of a Scene snapshot, in any process: physics need not wait for them."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import CameraSpec
from lerobot_arena.embodiment.simulation.engine import GL_REMEDY, mujoco


class Renderer:
    """Draws cameras of one model. All calls from the thread that made it (an OpenGL context has one thread)."""

    def __init__(self, model: Any, cameras: Sequence[CameraSpec]) -> None:
        """Raises InvalidInput for a camera the model lacks, Unavailable when no OpenGL backend works."""
        self._mj = mujoco()
        self._model = model
        self._data = self._mj.MjData(model)
        self._cameras = {camera.name: camera for camera in cameras}
        known = [model.camera(index).name for index in range(model.ncam)]
        if unknown := set(self._cameras) - set(known):
            raise InvalidInput(
                f"The simulator has the cameras {', '.join(known)}, not {', '.join(sorted(unknown))}."
            )
        self._last: FloatArray | None = None
        self._surfaces: dict[tuple[int, int], Any] = {}
        for camera in cameras:
            size = (camera.height, camera.width)
            if size not in self._surfaces:
                self._surfaces[size] = self._surface(*size)

    def _surface(self, height: int, width: int) -> Any:
        try:
            surface = self._mj.Renderer(self._model, height, width)
        except Exception as error:  # each OpenGL binding fails with types of its own
            raise Unavailable(f"The simulator's cameras do not work ({error}). {GL_REMEDY}") from error
        flags = surface.scene.flags
        flags[self._mj.mjtRndFlag.mjRND_SHADOW] = False
        flags[self._mj.mjtRndFlag.mjRND_REFLECTION] = False
        return surface

    def render(self, snapshot: FloatArray, camera: str) -> NDArray[np.uint8]:
        """The picture `camera` takes of `Scene.snapshot()`: rgb, uint8, H×W×3, a fresh array.

        Raises InvalidInput for an unknown camera, ValueError for a snapshot of another model.
        """
        if camera not in self._cameras:
            raise InvalidInput(f"There is no camera {camera!r}: choose one of {', '.join(self._cameras)}.")
        self._move_to(snapshot)
        spec = self._cameras[camera]
        surface = self._surfaces[spec.height, spec.width]
        surface.update_scene(self._data, camera)
        picture: NDArray[np.uint8] = surface.render()
        return picture

    def _move_to(self, snapshot: FloatArray) -> None:
        if self._last is not None and np.array_equal(snapshot, self._last):
            return
        count = int(self._model.nq)
        if snapshot.shape != (count + 7,):
            raise ValueError(f"A snapshot of this model has {count + 7} values, got {snapshot.shape}.")
        self._data.qpos[:] = snapshot[:count]
        self._data.mocap_pos[0] = snapshot[count : count + 3]
        self._data.mocap_quat[0] = snapshot[count + 3 :]
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_camlight(self._model, self._data)
        self._last = np.array(snapshot)

    def close(self) -> None:
        """Free the OpenGL contexts."""
        for surface in self._surfaces.values():
            surface.close()
        self._surfaces.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
