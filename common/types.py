"""Array types that the whole code shares: dense vectors, row numbers, the sparse gradient of a table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Vector = NDArray[np.float32]
Indices = NDArray[np.int64]

FLOAT_BYTES = 4  # bytes of a float32
EMPTY: Vector = np.empty(0, np.float32)  # a message that says only that it came


@dataclass(slots=True)
class Rows:
    """The gradient of an embedding table of `width` columns: that of the rows it touches. All other rows have none.

    `index`, shape (k,), holds the numbers of these rows, each once, ascending; `values`, shape (k, width), their
    gradients. Nobody writes to either array after construction. To change them, assign new arrays.
    """

    width: int
    index: Indices
    values: Vector


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """Allocate plain memory: `alloc` of a transport without special memory."""
    return np.zeros(shape, dtype)
