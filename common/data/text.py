"""Text, byte by byte: a sample is a window of bytes, its labels are for each of them the byte that follows.

Without a file of one's own it is generated: words that follow each other as a random grammar, drawn once, lets them
(a Markov chain over words), so that there are spelling and phrases to learn, and it is there on every machine.
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
MOST = 1 << 28  # bytes of a file: labels take eight times as much memory
SEED = 0x746578  # the text is part of the data set: it does not change with the seed of a run
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS, SUCCESSORS = 128, (0.55, 0.25, 0.15, 0.05)  # how likely each of the words is that may follow one


@dataclass(frozen=True, slots=True)
class Text:
    """The file at `path`, or what `generated` gives if that is empty."""

    path: str = ""

    @classmethod
    def read(cls, given: str) -> Text:
        """What follows `text:`, if anything does."""
        return cls(os.path.abspath(os.path.expanduser(given)) if given else "")

    def __str__(self) -> str:
        return f"text:{self.path}" if self.path else "text"

    def info(self) -> DataInfo:
        """From the size of the file."""
        train, test = _windows(self._size())
        source = os.path.basename(self.path) or "generated text: a grammar of 128 words"
        about = f"next byte of {source}, {train + test:,} windows of {WINDOW} bytes"
        return DataInfo(__name__, train, test, (WINDOW,), 256, about, rows=256, labels=(WINDOW,))

    def load(self) -> Dataset:
        """Bytes uint8 and next bytes int64, both of shape (n, WINDOW); the last tenth of the text is for testing."""
        import torch

        from common.data.dataset import Dataset

        text = np.frombuffer(self._bytes(), np.uint8)
        train, test = _windows(len(text))
        whole = (train + test) * WINDOW
        x = text[:whole].reshape(-1, WINDOW).copy()
        y = text[1 : whole + 1].reshape(-1, WINDOW).astype(np.int64)
        return Dataset(*(torch.from_numpy(part) for part in (x[:train], y[:train], x[train:], y[train:])))

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
        if not 2 * WINDOW < size <= MOST:
            raise ConfigError(f"--data {self} has {size:,} bytes: give from {2 * WINDOW + 1} to {MOST:,}")
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
    """How many windows a text of `size` bytes has to train on, and to test."""
    whole = (size - 1) // WINDOW
    test = max(1, whole // 10)
    return whole - test, test


def generated(size: int) -> bytes:
    """`size` bytes of text: lower-case words, spaces, full stops; the same every time."""
    random = np.random.default_rng(SEED)
    lengths = random.integers(1, 4, WORDS)
    words = ["".join(SYLLABLES[each] for each in random.integers(0, len(SYLLABLES), length)) for length in lengths]
    followers = [random.permutation(WORDS)[: len(SUCCESSORS)] for _ in range(WORDS)]
    steps = size // 2  # a word and what follows it are three bytes at least
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
