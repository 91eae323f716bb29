"""Text: a sample is a window of bytes, its labels are the bytes that follow, generated or out of a file."""

import itertools

import numpy as np
import pytest
import torch

from common.data import canonical, describe, load
from common.data import text as module
from common.data.text import GENERATED, WINDOW, generated
from common.errors import ConfigError


def whole(data):
    """All of the text but its first byte, as the labels have it, and all but its last, as the samples have it."""
    x = torch.cat((data.train_x, data.test_x)).flatten()
    y = torch.cat((data.train_y, data.test_y)).flatten()
    return bytes(y.tolist()), bytes(x.tolist())


@pytest.mark.parametrize("size", [2 * WINDOW + 1, 2 * WINDOW + 7, 31 * WINDOW])
def test_a_file_is_cut_into_windows_and_each_byte_has_its_successor(tmp_path, size):
    content = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    (tmp_path / "a.txt").write_bytes(content)
    name = f"text:{tmp_path}/a.txt"
    info, data = describe(name), load(name)
    windows = (size - 1) // WINDOW
    assert (info.train_samples + info.test_samples, info.test_samples) == (windows, max(1, windows // 10))
    assert (info.shape, info.labels, info.classes, info.rows) == ((WINDOW,), (WINDOW,), 256, 256)
    assert data.train_x.shape == data.train_y.shape == (info.train_samples, WINDOW)
    assert data.test_x.shape == data.test_y.shape == (info.test_samples, WINDOW)
    assert (data.train_x.dtype, data.train_y.dtype) == (torch.uint8, torch.int64)
    assert whole(data) == (content[1 : windows * WINDOW + 1], content[: windows * WINDOW])


def test_without_a_file_it_is_generated_and_as_large_as_described():
    info, data = describe("text"), load("text")
    assert len(data.train_x) == info.train_samples
    assert len(data.test_x) == info.test_samples
    assert whole(data)[1] == generated(GENERATED)[:-1]


def test_generated_text_is_the_same_every_time_and_made_of_a_few_words():
    np.random.seed(9)
    text = generated(GENERATED)
    assert text == generated(GENERATED)
    assert len(text) == GENERATED
    words = text.decode().replace(".", "").split()[:-1]  # the last may be cut
    assert 30 < len(set(words)) <= module.WORDS
    followers = {}
    for word, after in itertools.pairwise(words):
        followers.setdefault(word, set()).add(after)
    assert np.mean([len(each) for each in followers.values()]) < 6  # there is something to learn


@pytest.mark.parametrize("size", [0, 2 * WINDOW])
def test_a_file_that_is_too_small_is_one_line(tmp_path, size):
    (tmp_path / "a.txt").write_bytes(b"x" * size)
    with pytest.raises(ConfigError, match=f"has {size} bytes: give from 129"):
        describe(f"text:{tmp_path}/a.txt")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    for name in ("none.txt", ""):
        with pytest.raises(ConfigError, match=r"^--data text:.* cannot be read: (No such file|Is a directory)"):
            describe(f"text:{tmp_path}/{name}")
    monkeypatch.chdir(tmp_path)
    assert canonical("text:a.txt") == f"text:{tmp_path}/a.txt"
    assert canonical("text:") == canonical("text") == "text"
