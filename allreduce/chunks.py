"""How a vector is cut into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from common.types import Array


def bounds(size: int, n: int) -> list[int]:
    """The n+1 boundaries of n contiguous chunks of `size` elements whose sizes differ by one at most."""
    return [i * size // n for i in range(n + 1)]


class split(Sequence[Array]):  # noqa: N801 - reads as the verb that it is
    """x, shape (size,), as n contiguous views; some are empty when size < n.

    A view is made when it is asked for: a ring of a thousand ranks would keep a million of them.
    """

    def __init__(self, x: Array, n: int) -> None:
        self.x, self.n, self.size = x, n, x.size

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, i: int) -> Array: ...
    @overload
    def __getitem__(self, i: slice) -> list[Array]: ...
    def __getitem__(self, i: int | slice) -> Array | list[Array]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(self.n))]
        if not 0 <= i < self.n:
            raise IndexError(f"chunk {i} of {self.n}")
        return self.x[i * self.size // self.n : (i + 1) * self.size // self.n]
