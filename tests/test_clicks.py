"""Clicks: ids follow the law that was asked for, labels can be learned from them, and both are the same every time."""

import numpy as np
import pytest
import torch

from common.data import canonical, describe, load
from common.data import clicks as module
from common.data.clicks import Clicks
from common.errors import ConfigError

SMALL = "clicks:rows=50,ids=4,samples=2000,skew=1"


def test_the_sizes_are_those_that_are_described():
    info, data = describe(SMALL), load(SMALL)
    assert (info.train_samples, info.test_samples, info.shape, info.classes, info.rows) == (2000, 200, (4,), 2, 50)
    assert data.train_x.shape == (2000, 4)
    assert data.test_x.shape == (200, 4)
    assert (data.train_y.shape, data.test_y.shape) == ((2000,), (200,))


def test_samples_are_ids_of_rows_that_exist_and_labels_are_clicks_or_none():
    data = load(SMALL)
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert (x.dtype, y.dtype) == (torch.int32, torch.int64)
        assert (int(x.min()), int(x.max())) == (0, 49)
        assert set(y.tolist()) == {0, 1}


@pytest.mark.parametrize("skew", [0.0, 1.0, 2.0])
def test_the_share_of_the_kth_most_popular_id_is_that_of_zipfs_law(skew):
    rows = 20
    x = Clicks(rows=rows, ids=10, skew=skew, samples=20_000).load().train_x
    shares = np.sort(np.bincount(x.numpy().ravel(), minlength=rows))[::-1] / x.numel()
    law = np.arange(1, rows + 1) ** -skew
    np.testing.assert_allclose(shares, law / law.sum(), atol=0.005)


def test_popular_ids_do_not_lie_beside_each_other():
    counts = np.bincount(Clicks(rows=1000, skew=1.5).load().train_x.numpy().ravel(), minlength=1000)
    popular = np.argsort(counts)[-10:]
    assert popular.min() < 500 <= popular.max()


def test_clicks_are_the_same_for_every_random_state():
    first = load(SMALL)
    np.random.seed(99)
    torch.manual_seed(99)
    again = load(SMALL)
    for name in ("train_x", "train_y", "test_x", "test_y"):
        assert torch.equal(getattr(again, name), getattr(first, name))


def test_clicks_are_generated_in_pieces_that_differ(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 64)
    x = load(SMALL).train_x.numpy()
    pieces = {x[start : start + 64].tobytes() for start in range(0, 1984, 64)}
    assert len(pieces) == 31


def test_the_labels_follow_from_the_ids_but_for_some_noise():
    """With so few ids the hidden weights can be found by least squares: they tell most test labels."""
    data = load("clicks:rows=20,ids=4,samples=4000,skew=0")
    counts, tests = (
        np.stack([np.bincount(x, minlength=20) for x in part.numpy()]) for part in (data.train_x, data.test_x)
    )
    weights = np.linalg.lstsq(counts.astype(float), 2.0 * data.train_y.numpy() - 1, rcond=None)[0]
    right = ((tests @ weights > 0) == data.test_y.numpy().astype(bool)).mean()
    assert 0.7 < right < 0.99


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("clicks", Clicks()),
        ("clicks:", Clicks()),
        ("clicks:rows=400000,skew=1.1", Clicks(rows=400_000, skew=1.1)),
        ("clicks: skew=2 , ids=3 ", Clicks(skew=2.0, ids=3)),
    ],
)
def test_parameters_are_read_from_the_name_and_written_back(text, chosen):
    assert describe(text) == chosen.info()
    assert describe(canonical(text)) == chosen.info()
    assert canonical(canonical(text)) == canonical(text)


@pytest.mark.parametrize("junk", ["clicks:rows=", "clicks:,", "clicks:=3", "clicks;rows=3", "Clicks"])
def test_invalid_parameters_are_refused_in_one_line(junk):
    with pytest.raises(ConfigError) as refused:
        describe(junk)
    assert "\n" not in str(refused.value)
