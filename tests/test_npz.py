"""A NumPy archive of the user's own is read as what it says, and every mistake in it is one line."""

import os
import zipfile

import numpy as np
import pytest
import torch

from common.data import canonical, check, describe, load
from common.errors import ConfigError
from experiments.config import RunOptions, plan

X = np.arange(10 * 3).reshape(10, 3).astype(np.float32)
Y = np.arange(10) % 4


@pytest.fixture
def saved(tmp_path):
    """Saves arrays and gives the name of the data set."""

    def save(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return f"npz:{tmp_path / 'data.npz'}"

    return save


def test_test_samples_are_those_given(saved):
    name = saved(x=X, y=Y, x_test=X[:2] + 0.5, y_test=np.array([5, 1]))
    data, info = load(name), describe(name)
    assert (info.train_samples, info.test_samples, info.shape, info.classes, info.rows) == (10, 2, (3,), 6, 0)
    assert np.array_equal(data.train_x, X)
    assert np.array_equal(data.test_x, X[:2] + 0.5)
    assert (data.train_y.tolist(), data.test_y.tolist()) == (Y.tolist(), [5, 1])


def test_without_them_a_fifth_is_held_out_always_the_same(saved):
    name = saved(x=X, y=Y)
    data, info = load(name), describe(name)
    assert (info.train_samples, info.test_samples, info.classes) == (8, 2, 4)
    rows = [int(row[0] // 3) for row in torch.cat((data.train_x, data.test_x))]
    assert sorted(rows) == list(range(10))
    assert rows[:8] == sorted(rows[:8])  # what is trained on stays in the order of the file
    assert torch.cat((data.train_y, data.test_y)).tolist() == Y[rows].tolist()
    assert torch.equal(load(name).test_x, data.test_x)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("u1", torch.uint8), ("?", torch.uint8), ("i8", torch.float32), (">f8", torch.float32), ("f2", torch.float32)],
)
def test_samples_become_bytes_or_float32_and_labels_int64(saved, given, kept):
    data = load(saved(x=(X > 7).astype(given), y=Y.astype("u2")))
    assert (data.train_x.dtype, data.train_y.dtype) == (kept, torch.int64)
    assert set(data.train_x.flatten().tolist()) == {0, 1}


def test_a_description_reads_the_header_alone(saved, monkeypatch):
    name = saved(x=X.reshape(10, 1, 3, 1), y=Y)
    monkeypatch.setattr("common.data.npz.samples", None)
    assert describe(name).shape == (1, 3, 1)


def test_the_hash_depends_on_the_data_and_not_on_the_path(tmp_path):
    hashes = []
    for number, (x, y) in enumerate([(X, Y), (X, Y), (X + 1, Y), (X, Y[::-1]), (X[:, :2], Y), (X.astype("u1"), Y)]):
        np.savez(tmp_path / f"{number}.npz", x=x, y=y)
        hashes.append(load(f"npz:{tmp_path / str(number)}.npz").sha256())
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 5


def test_its_name_has_the_path_in_full(saved, tmp_path, monkeypatch):
    name = saved(x=X, y=Y)
    monkeypatch.chdir(tmp_path)
    assert canonical("npz:data.npz") == canonical("npz:./data.npz") == name


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"x": X}, "has no array y"),
        ({"y": Y}, "has no array x"),
        ({"x": X, "y": Y[:9]}, r"y is of shape \(9,\): give one class a sample, shape \(10,\)"),
        ({"x": X, "y": Y[:, None]}, r"y is of shape \(10, 1\)"),
        ({"x": X, "y": Y / 2}, "y is of dtype float64"),
        ({"x": X, "y": Y - 1}, "y has a class -1"),
        ({"x": X, "y": Y + (1 << 20)}, "number the classes from 0"),
        ({"x": X[:, 0], "y": Y}, r"x is of shape \(10,\)"),
        ({"x": np.float32(3), "y": Y}, r"y is of shape \(10,\)"),
        ({"x": X[:, :0], "y": Y}, r"x is of shape \(10, 0\)"),
        ({"x": X[:1], "y": Y[:1]}, "x has 1 sample"),
        ({"x": X.astype("c8"), "y": Y}, "x is of dtype complex64"),
        ({"x": X.astype(str), "y": Y}, "x is of dtype <U"),
        ({"x": X, "y": Y, "x_test": X}, "y_test"),
        ({"x": X, "y": Y, "x_test": X[:, :2], "y_test": Y}, r"x_test has samples of shape \(2,\), x has \(3,\)"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:3]}, r"y_test is of shape \(3,\)"),
    ],
)
def test_arrays_that_are_no_data_are_refused_in_one_line(saved, arrays, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        describe(saved(**arrays))
    assert str(refused.value).startswith("--data npz:")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("array", ["x", "x_test"])
@pytest.mark.parametrize("kind", ["f2", ">f4", "f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused_before_anything_starts(saved, monkeypatch, array, kind, value):
    monkeypatch.setattr("common.data.npz.CHUNK", 16)
    arrays = {"x": X.astype(kind), "y": Y, "x_test": X.astype(kind), "y_test": Y}
    check(saved(**arrays))
    arrays[array][9, 2] = value
    with pytest.raises(ConfigError, match=rf"^--data npz:.*data.npz: {array} has numbers that are not finite"):
        plan(RunOptions(data=saved(**arrays)))
    with pytest.raises(ConfigError, match="not finite"):
        load(saved(**arrays))


def test_numbers_too_large_for_float32_are_not_finite_and_bytes_always_are(saved):
    large = X.astype("f8")
    large[0, 0] = 1e39
    with pytest.raises(ConfigError, match="x has numbers that are not finite as float32"):
        check(saved(x=large, y=Y))
    check(saved(x=X.astype("u1"), y=Y))


def test_a_file_that_has_not_changed_is_looked_through_once(saved, monkeypatch):
    seen = []
    monkeypatch.setattr("common.data.npz.check_finite", lambda what, x: seen.append(what))
    name = saved(x=X, y=Y)
    check(name)
    check(name)
    assert len(seen) == 1
    saved(x=X[:5], y=Y[:5])
    check(name)
    assert len(seen) == 2


def test_pickled_arrays_are_never_read(tmp_path):
    np.savez(tmp_path / "x.npz", x=X, y=np.array([{}] * 10, dtype=object))
    with pytest.raises(ConfigError, match="cannot be read"):
        describe(f"npz:{tmp_path}/x.npz")
    np.savez(tmp_path / "x.npz", x=np.array([[{}]] * 10, dtype=object), y=Y)
    with pytest.raises(ConfigError, match="x is of dtype object"):
        describe(f"npz:{tmp_path}/x.npz")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(f"npz:{tmp_path}/x.npz")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "that is no .npz file"), (b"\x93NUMPY junk", "that is no .npz file"), (None, "No such file")],
)
def test_a_file_that_is_none_is_named(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=f"x.npz.*{complaint}"):
        describe(f"npz:{tmp_path}/x.npz")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        describe(f"npz:{tmp_path}")
    with pytest.raises(ConfigError, match="give the path of a file"):
        describe("npz:")


def test_an_archive_that_was_cut_short_is_one_line(tmp_path):
    file = tmp_path / "x.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUM")
        archive.writestr("y.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        describe(f"npz:{file}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "complaint"), [((10, 3), "x is cut short"), ((10, 10**12), "x is cut short"), ((-10, 3), "has a shape")]
)
def test_samples_that_are_not_there_are_missed_before_anything_starts(tmp_path, shape, complaint):
    file = tmp_path / "x.npz"
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("x.npy", "w") as x:
            np.lib.format.write_array_header_1_0(x, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with archive.open("y.npy", "w") as y:
            np.save(y, Y)
    with pytest.raises(ConfigError, match=complaint):
        describe(f"npz:{file}")


def test_an_archive_of_other_files_lacks_x(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x", b"not an array")
        archive.writestr("y", b"not an array")
    with pytest.raises(ConfigError, match="has no array x"):
        describe(f"npz:{tmp_path}/x.npz")


@pytest.mark.parametrize(("kind", "complaint"), [("npz", "that is no .npz file"), ("text", "is no file")])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, kind, complaint):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ConfigError, match=complaint):
            describe(f"{kind}:{path}")
