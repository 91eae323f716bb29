"""OpenML's data sets are downloaded once and read as arrays from there on; offline, one line says so."""

import hashlib
import io
import json
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


ARFF = "@relation tiny\n@attribute a numeric\n@attribute b numeric\n@attribute class {no,yes}\n@data\n" + "".join(
    f"{row},{row / 2},{'no' if row < 7 else 'yes'}\n" for row in range(20)
)


def column(index, name, kind, target):
    flags = {"is_target": target, "is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
    return {"index": str(index), "name": name, "data_type": kind, **flags}


def website(request):
    """The answer of openml.org about a data set of that name with two versions."""
    columns = [column(number, name, "numeric", "false") for number, name in enumerate("ab")]
    columns.append(column(2, "class", "nominal", "true"))
    versions = [{"did": number, "name": "tiny", "version": number, "status": "active"} for number in (1, 2)]
    described = {"id": "1", "name": "tiny", "version": "1", "description": "", "format": "ARFF", "file_id": "9"}
    described |= {"default_target_attribute": "class", "url": "https://api.openml.org/data/v1/download/9"}
    described |= {"md5_checksum": hashlib.md5(ARFF.encode()).hexdigest(), "status": "active"}
    answers = {
        "/data/list/": {"data": {"dataset": versions}},
        "/data/features/": {"data_features": {"feature": columns}},
        "/data/qualities/": {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "20"}]}},
        "/json/data/1": {"data_set_description": described},
    }
    found = [json.dumps(answer) for path, answer in answers.items() if path in request.full_url]
    return Answer((found[0] if found else ARFF).encode())


class Answer(io.BytesIO):
    """A response without headers."""

    info = dict


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data folder with nothing in it."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    return tmp_path


def test_scikit_learn_is_asked_as_it_wants_to_be(home, monkeypatch):
    """Its own code runs, but for the network."""
    monkeypatch.setattr("sklearn.datasets._openml.urlopen", website)
    info, data = describe("openml:tiny"), load("openml:tiny")
    assert (info.train_samples, info.test_samples, info.shape, info.classes) == (16, 4, (2,), 2)
    assert torch.equal(data.train_x[:, 0], 2 * data.train_x[:, 1])
    assert torch.equal(data.train_y, (data.train_x[:, 0] >= 7).long())


def test_without_a_network_it_gives_up(home, monkeypatch):
    def unreachable(request):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", unreachable)
    complaint = r"^--data openml:tiny is not on this machine, and openml\.org cannot be reached: Temporary failure in"
    with pytest.raises(ConfigError, match=complaint) as refused:
        describe("openml:tiny")
    assert "\n" not in str(refused.value)


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


def test_a_data_set_is_downloaded_once_and_without_pandas(openml):
    openml.answer = bunch()
    describe("openml:mnist_784")
    openml.answer = URLError("gone")
    describe("openml:mnist_784")
    load("openml:mnist_784")
    (asked,) = openml.asked
    assert asked == {"name": "mnist_784", "as_frame": False, "parser": "liac-arff", "n_retries": 1, "delay": 0.1}
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
def test_a_failed_download_is_one_line_and_leaves_nothing(openml, answer, complaint):
    openml.answer = answer
    with pytest.raises(ConfigError) as refused:
        describe("openml:mnist_784")
    assert complaint in str(refused.value)
    assert str(refused.value).startswith("--data openml:mnist_784")
    assert "\n" not in str(refused.value)
    assert list(openml.home.glob("syncbench/*")) == []


@pytest.mark.parametrize("name", ["", "a/../b", "two words"])
def test_an_invalid_name_is_refused_before_any_download(openml, name):
    with pytest.raises(ConfigError, match="give a name of openml"):
        describe(f"openml:{name}")
    assert openml.asked == []
