"""How a vector is cut into chunks."""

from collections.abc import Iterator

from common.types import Array


def bounds(size: int, n: int) -> list[int]:
    """Return the n+1 boundaries of n contiguous chunks of `size` elements, whose sizes differ by one at most."""
    return [i * size // n for i in range(n + 1)]


class Chunks:
    """x, shape (size,), as n contiguous views; some are empty when size < n.

    Their numbers go round like those of the workers in a ring: chunk n is chunk 0, and chunk -1 is the last one. A
    view is made when it is asked for; a ring of a thousand workers would keep a million of them.
    """

    def __init__(self, x: Array, n: int) -> None:
        self.x, self.n = x, n

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(self.n))

    def __getitem__(self, i: int) -> Array:
        i, size = i % self.n, self.x.size
        return self.x[i * size // self.n : (i + 1) * size // self.n]
