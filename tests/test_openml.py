"""OpenML's data sets are downloaded once and read as arrays from there on; offline, one line says so."""

import socket
import warnings
from email.message import Message
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from common.data import canonical, describe, load
from common.errors import ConfigError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (50, 784)).astype(float)
NAMES = np.array(["cat", "dog", "bird", "dog", "cat"] * 10, dtype=object)


@pytest.fixture
def openml(tmp_path, monkeypatch):
    """Stands for openml.org: `answer` is a bunch, or what to raise; `asked` is what was asked for."""
    there = SimpleNamespace(answer=None, asked=[], home=tmp_path)

    def fetch(**asked):
        there.asked.append(asked)
        assert socket.getdefaulttimeout() is not None  # a silent server is not waited for for ever
        warnings.warn("Multiple active versions", UserWarning, stacklevel=1)
        if isinstance(there.answer, Exception):
            raise there.answer
        return there.answer

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    return there


def bunch(data=PIXELS, target=NAMES, name="mnist_784"):
    return SimpleNamespace(data=data, target=target, details={"name": name})


def test_images_get_their_shape_and_classes_their_numbers(openml):
    openml.answer = bunch()
    info, data = describe("openml:mnist_784"), load("openml:mnist_784")
    assert (info.train_samples, info.test_samples, info.shape, info.classes) == (40, 10, (1, 28, 28), 3)
    assert (data.train_x.shape, data.train_x.dtype) == ((40, 1, 28, 28), torch.uint8)
    number = {pixels.astype(np.uint8).tobytes(): name for pixels, name in zip(PIXELS, NAMES, strict=True)}
    for x, y in zip(torch.cat((data.train_x, data.test_x)), torch.cat((data.train_y, data.test_y)), strict=True):
        assert ["bird", "cat", "dog"][y] == number.pop(x.numpy().tobytes())
    assert not number


def test_it_is_asked_for_once_and_without_pandas(openml):
    openml.answer = bunch()
    describe("openml:mnist_784")
    openml.answer = URLError("gone")
    describe("openml:mnist_784")
    load("openml:mnist_784")
    (asked,) = openml.asked
    assert asked == {"name": "mnist_784", "as_frame": False, "parser": "liac-arff", "n_retries": 0}
    assert [path.name for path in openml.home.glob("syncbench/*")] == ["openml-mnist_784.npz"]
    assert socket.getdefaulttimeout() is None


def test_a_number_is_that_of_a_data_set(openml):
    openml.answer = bunch()
    assert describe("openml:554").shape == (1, 28, 28)  # it says that it is mnist_784
    assert openml.asked[0]["data_id"] == 554
    assert canonical("openml:554") == "openml:554"


def test_other_values_stay_flat_and_become_float32(openml):
    openml.answer = bunch(csr_matrix(np.eye(50, 784) / 3), NAMES, "other")
    data = load("openml:other")
    assert (data.train_x.shape, data.train_x.dtype) == ((40, 784), torch.float32)
    assert data.train_x.max().item() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (URLError("Name or service not known"), "is not on this machine, and openml.org cannot be reached: Name or"),
        (TimeoutError("timed out"), "openml.org cannot be reached: timed out"),
        (HTTPError("https://x", 503, "Busy", Message(), None), "openml.org answers 503 Busy"),
        (ValueError("No active dataset mnist_784\nfound."), "No active dataset mnist_784 found."),
        (bunch(np.full((50, 3), np.nan)), "has missing values"),
        (bunch(np.array([["a"]] * 50, dtype=object)), "data is of dtype object"),
        (bunch(target=None), "has no target"),
        (bunch(target=RANDOM.random(50)), "has 50 different targets: that is no class"),
        (bunch(target=RANDOM.random((50, 2))), "has no target that is one class a sample"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_leaves_nothing(openml, answer, complaint):
    openml.answer = answer
    with pytest.raises(ConfigError) as refused:
        describe("openml:mnist_784")
    assert complaint in str(refused.value)
    assert str(refused.value).startswith("--data openml:mnist_784")
    assert "\n" not in str(refused.value)
    assert list(openml.home.glob("syncbench/*")) == []


@pytest.mark.parametrize("name", ["", "a/../b", "two words"])
def test_what_is_no_name_is_refused_before_anything_is_asked(openml, name):
    with pytest.raises(ConfigError, match="give a name of openml"):
        describe(f"openml:{name}")
    assert openml.asked == []
