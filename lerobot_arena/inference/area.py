# SPDX-License-Identifier: Apache-2.0
"""The one resize a policy may be trained with: the mean over whole blocks of pixels.

Training data, the exported graph and tests all use this definition: mean of each block, rounded half to even, uint8.
A block's sum is exact in float32, so numpy and an ONNX AveragePool agree bit for bit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import InvalidInput


def area_factors(height: int, width: int, *, to_height: int, to_width: int) -> tuple[int, int]:
    """Rows and columns of one block. Raises InvalidInput when the blocks would not be whole."""
    if min(height, width, to_height, to_width) < 1 or height % to_height or width % to_width:
        raise InvalidInput(
            f"A {width}×{height} frame has no whole blocks for {to_width}×{to_height}: "
            "choose a camera size that is a multiple of the trained size."
        )
    return height // to_height, width // to_width


def area_average(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink an H×W×3 uint8 image to height×width×3. Raises InvalidInput when the sizes don't divide."""
    rows, columns = area_factors(image.shape[0], image.shape[1], to_height=height, to_width=width)
    if rows == columns == 1:
        return image
    # Row by row over contiguous memory, in the smallest type that holds a block: far faster than a sum over axes.
    kind = np.uint16 if rows * columns <= np.iinfo(np.uint16).max // 255 else np.uint32
    tall: NDArray[Any] = image[::rows].astype(kind)
    for row in range(1, rows):
        tall += image[row::rows]
    parts = tall.reshape(height, width, columns, image.shape[2])
    block: NDArray[Any] = parts[:, :, 0].copy()
    for column in range(1, columns):
        block += parts[:, :, column]
    total = block.astype(np.float32)
    return np.rint(total / np.float32(rows * columns)).astype(np.uint8)


def repeat_to(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Enlarge by repetition, so that `area_average` gives the image back. Raises InvalidInput."""
    rows, columns = area_factors(height, width, to_height=image.shape[0], to_width=image.shape[1])
    return np.repeat(np.repeat(image, rows, axis=0), columns, axis=1)
