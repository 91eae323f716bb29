"""A rank closes everything that it has opened: after a while, or at once after a failure."""

from types import SimpleNamespace

import pytest

from experiments.ranks.training import LINGER, Rank


def rank(closed, work):
    """A worker whose endpoint cannot be closed."""

    def close(linger):
        closed.append(linger)
        raise OSError("the endpoint will not close")

    made = object.__new__(Rank)
    made.place = SimpleNamespace(role="worker")
    made.meter = SimpleNamespace(close=close)
    made.recorder = SimpleNamespace(close=lambda: closed.append("recorder"))
    made.order = SimpleNamespace(stay=False)
    made._work = work
    return made


def test_the_record_is_closed_too_when_the_endpoint_cannot_be():
    closed = []
    with pytest.raises(OSError, match="will not close"):
        rank(closed, dict).run()
    assert closed == [LINGER, "recorder"]


def test_after_a_failure_nothing_lingers():
    closed = []

    def fails():
        raise ZeroDivisionError

    with pytest.raises(OSError, match="will not close") as raised:
        rank(closed, fails).run()
    assert closed == [0.0, "recorder"]
    assert isinstance(raised.value.__context__, ZeroDivisionError)
