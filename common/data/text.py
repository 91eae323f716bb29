"""Text, byte by byte: a sample is a window of bytes; the label of each byte is the byte that follows it.

Without a user's file the text is generated, the same on every machine: a Markov chain over random words, so that there
are spelling and phrases to learn.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.data.info import DataInfo, is_special_file
from common.errors import ConfigError

if TYPE_CHECKING:
    from common.data.dataset import Dataset

WINDOW = 64  # bytes of a sample
GENERATED = 3200 * WINDOW + 1  # bytes
MOST_BYTES = 1 << 28  # bytes of a file: labels take eight times as much memory
SEED = 0x746578  # the text belongs to the data set: it does not change with the seed of a run
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS, SUCCESSORS = 128, (0.55, 0.25, 0.15, 0.05)  # probabilities of the four words that may follow a word


@dataclass(frozen=True, slots=True)
class Text:
    """The file at `path`, or the `generated` text if that is empty."""

    path: str = ""

    @classmethod
    def read(cls, given: str) -> Text:
        """Return the data set named `text:<given>`."""
        return cls(os.path.abspath(os.path.expanduser(given)) if given else "")

    def __str__(self) -> str:
        return f"text:{self.path}" if self.path else "text"

    def info(self) -> DataInfo:
        """Return its sizes, given by the size of the file."""
        train, test = _windows(self._size())
        source = os.path.basename(self.path) or "generated text: a grammar of 128 words"
        about = f"next byte of {source}, {train + test:,} windows of {WINDOW} bytes"
        return DataInfo(train, test, (WINDOW,), 256, about, rows=256, labels=(WINDOW,))

    def load(self) -> Dataset:
        """Read bytes, uint8, and next bytes, int64, both of shape (n, WINDOW); the last tenth is for testing."""
        from common.data.dataset import Dataset

        text = np.frombuffer(self._bytes(), np.uint8)
        train, test = _windows(len(text))
        whole = (train + test) * WINDOW
        x = text[:whole].reshape(-1, WINDOW).copy()
        y = text[1 : whole + 1].reshape(-1, WINDOW).astype(np.int64)
        return Dataset.of(x[:train], y[:train], x[train:], y[train:])

    def _size(self) -> int:
        if not self.path:
            return GENERATED
        if is_special_file(self.path):
            raise ConfigError(f"--data {self} is no file")
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise self._unreadable(error) from None
        if not 2 * WINDOW < size <= MOST_BYTES:
            raise ConfigError(f"--data {self} has {size:,} bytes: give from {2 * WINDOW + 1} to {MOST_BYTES:,}")
        return size

    def _bytes(self) -> bytes:
        if not self.path:
            return generated(GENERATED)
        try:
            with open(self.path, "rb") as file:
                return file.read(self._size())
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(f"--data {self} cannot be read: {error.strerror or error}")


def _windows(size: int) -> tuple[int, int]:
    """Return how many windows a text of `size` bytes has for training and for testing."""
    whole = (size - 1) // WINDOW
    test = max(1, whole // 10)
    return whole - test, test


def generated(size: int) -> bytes:
    """Return `size` bytes of text, always the same: lower-case words, spaces, full stops."""
    random = np.random.default_rng(SEED)
    lengths = random.integers(1, 4, WORDS)
    words = ["".join(SYLLABLES[index] for index in random.integers(0, len(SYLLABLES), length)) for length in lengths]
    followers = [random.permutation(WORDS)[: len(SUCCESSORS)] for _ in range(WORDS)]
    steps = size // 2  # a word and its separator have at least three bytes
    turns = random.choice(len(SUCCESSORS), steps, p=SUCCESSORS).tolist()
    stops = (random.random(steps) < 1 / 8).tolist()
    pieces, at, done = [], 0, 0
    for turn, stop in zip(turns, stops, strict=True):
        pieces.append(words[at] + (". " if stop else " "))
        done += len(pieces[-1])
        if done >= size:
            break
        at = int(followers[at][turn])
    return "".join(pieces).encode()[:size]
