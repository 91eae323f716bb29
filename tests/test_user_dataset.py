"""A user's own data set is read where it fits, and refused in one line where it does not."""

import sys

import pytest
import torch

from common.data import canonical, describe, load
from common.data.user_dataset import _loaded
from common.errors import ConfigError

DATA = """
import numpy as np, torch
from torch.utils.data import Dataset, TensorDataset

X, Y = torch.arange(40.0).reshape(10, 1, 2, 2), torch.arange(10) % 3

class Squares(Dataset):
    def __len__(self): return 10
    def __getitem__(self, index):
        if index >= 10: raise IndexError
        return np.full(3, index * index), index % 2

def one(): print("noise"); return Squares()
def pair(): return TensorDataset(X, Y), TensorDataset(X[:3] + 1, Y[:3])
def apart(): return TensorDataset(X, Y), TensorDataset(X[:, :, :1], Y)
def empty(): return TensorDataset(X[:0], Y[:0])
def single(): return TensorDataset(X[:1], Y[:1])
def unlabelled(): return TensorDataset(X)
def ragged(): return [(np.zeros(2), 0), (np.zeros(3), 0)]
def words(): return [("cat", 0), ("dog", 1)]
def negative(): return [(np.zeros(2), -1), (np.zeros(2), 0)]
def number(): return 3
def broken(): raise RuntimeError("two\\nlines")
def leaves(): raise SystemExit(3)
def asks(path): return Squares()
"""


@pytest.fixture(autouse=True)
def module_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(DATA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    _loaded.cache_clear()
    yield
    _loaded.cache_clear()
    sys.modules.pop("own_data", None)


def test_a_map_style_data_set_is_read_and_a_fifth_held_out(capsys):
    info, data = describe("own_data:one"), load("own_data:one")
    assert (info.train_samples, info.test_samples, info.shape, info.classes) == (8, 2, (3,), 2)
    x, y = torch.cat((data.train_x, data.test_x)), torch.cat((data.train_y, data.test_y))
    assert sorted(x[:, 0].tolist()) == [index * index for index in range(10)]
    assert ((x[:, 0] % 2) == y).all()
    assert capsys.readouterr().out == ""  # standard output is for results
    assert canonical("own_data:one") == "own_data:one"


def test_a_pair_is_taken_as_it_is():
    info, data = describe("own_data:pair"), load("own_data:pair")
    assert (info.train_samples, info.test_samples, info.shape, info.classes) == (10, 3, (1, 2, 2), 3)
    assert torch.equal(data.train_x, torch.arange(40.0).reshape(10, 1, 2, 2))
    assert torch.equal(data.test_x, data.train_x[:3] + 1)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("not_there_at_all:data", "the module does not exist"),
        ("own_data:on", "module own_data has no on; did you mean "),
        ("own_data.py:one", "write own_data:one, without .py"),
        ("own_data:X", "TypeError: 'Tensor' object is not callable"),
        ("own_data:asks", "TypeError: asks() missing 1 required positional argument"),
        ("own_data:broken", "RuntimeError: two lines"),
        ("own_data:leaves", "SystemExit: 3"),
        ("own_data:number", "gave a int: give a torch Dataset with __len__ and __getitem__"),
        ("own_data:empty", "has no samples"),
        ("own_data:single", "has 1 sample: one to train on and one to test"),
        ("own_data:unlabelled", "has items that are no pair"),
        ("own_data:ragged", "samples: ValueError: all input arrays must have the same shape"),
        ("own_data:words", "samples is of dtype <U3: give numbers"),
        ("own_data:negative", "classes has a class -1"),
        ("own_data:apart", "samples to train on have shape (1, 2, 2), others (1, 1, 2)"),
    ],
)
def test_data_that_are_none_are_one_line(name, complaint):
    with pytest.raises(ConfigError) as refused:
        describe(name)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"--data {name}")
    assert "\n" not in str(refused.value)
