"""Figures measured on a network whose α, β and γ are known."""

import numpy as np
import pytest

from common.link_probe import pieces, shift
from common.simulate import simulate
from common.strategy import Link
from common.transport.virtual.network import Network
from experiments.prediction import probes as primitives_module
from experiments.prediction.calibrate import figures_of
from experiments.prediction.calibration_file import read_calibration, write_calibration
from experiments.prediction.cost_model import (
    Calibration,
)
from experiments.prediction.probes import primitives

LINK = Link(alpha=50e-6, beta=8e-9, gamma=1e-9)


MIB = 1 << 20


def network(link):
    return Network(latency=link.alpha, bandwidth=1 / link.beta, reduce=link.gamma)


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """In virtual time every sample is the same."""
    monkeypatch.setattr(primitives_module, "VISITS", 1)
    monkeypatch.setattr(primitives_module, "SAMPLES", 1)


def calibrated(n, sizes, link=LINK):
    """The figures of a virtual network, and what each rank reported."""
    raw = simulate(lambda ctx: primitives(ctx, sizes), n + 1, servers=1, network=network(link)).results
    return figures_of("virtual", n, sizes, raw[:n]), raw


def test_scatter_is_how_far_a_typical_visit_is_from_the_median():
    assert primitives_module.scatter([1.0, 1.0, 1.0, 1.0, 9.0]) == 0
    assert primitives_module.scatter([1.0, 2.0, 4.0, 5.0, 9.0]) == pytest.approx(2 / 4)
    assert primitives_module.scatter([0.0, 0.0]) == 0


def test_the_worst_scatter_of_all_workers_and_patterns_is_kept(tmp_path):
    def report(shift, relay):
        seen = {"tiny": 1e-5, "moved": [1e-3], "added": [2e-3]}
        return {"shift": {**seen, "scatter": shift}, "relay": {**seen, "scatter": relay}}

    found = figures_of("shm", 2, [MIB], [report(0.1, 0.2), report(0.4, 0.0)])
    assert found.scatter == 0.4
    write_calibration(tmp_path / "c.json", Calibration((found,)))
    assert read_calibration(tmp_path / "c.json").figures == (found,)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_calibration_finds_what_neighbours_pay(n):
    sizes = (1 << 16, 1 << 20, 1 << 22)
    found, raw = calibrated(n, sizes)
    assert raw[n] is None  # the hub only serves
    assert (found.transport, found.workers, found.exchange.sizes) == ("virtual", n, sizes)
    for nbytes in sizes:
        near = found.exchange.link(nbytes)
        assert (near.alpha, near.beta, near.gamma) == pytest.approx((LINK.alpha, LINK.beta, LINK.gamma), rel=0.02)


@pytest.mark.parametrize("n", [2, 3])
def test_a_calibration_finds_what_a_server_pays(n):
    hub = calibrated(n, (16 * MIB,), Link(LINK.alpha, LINK.beta))[0].hub.link(16 * MIB)
    assert (hub.alpha, hub.beta, hub.gamma) == pytest.approx((LINK.alpha, LINK.beta, 0.0), rel=0.03)


def test_with_one_segment_the_worker_with_the_first_answer_begins_again_first():
    """So the hub idles for an n-th of the way back, where the formula, all beginning at once, has all of it."""
    n = 4
    hub = calibrated(n, (MIB,), Link(0.0, LINK.beta))[0].hub.link(MIB)
    assert hub.beta == pytest.approx(LINK.beta * (1 + 1 / n) / 2, rel=0.02)


def test_the_adding_at_a_hub_counts():
    n = 4
    gamma = calibrated(n, (MIB,))[0].hub.link(MIB).gamma
    assert 0 < gamma <= LINK.gamma  # in virtual time it receives the next message meanwhile


def test_a_worker_alone_has_a_hub_and_no_neighbours():
    found, raw = calibrated(1, (MIB,), Link(LINK.alpha, LINK.beta))
    assert set(raw[0]) == {"relay"}
    assert found.exchange.link(MIB) == Link()
    assert found.hub.link(MIB).beta == pytest.approx(LINK.beta, rel=0.02)


def test_a_piece_that_is_passed_on_is_not_overwritten_before_it_was_read():
    """The virtual network refuses a loan that was written to; with one piece less than n + 1 it is."""

    def program(ctx, count):
        x = [ctx.alloc(1, "f4") for _ in range(count)]

        def receive(left, into):
            ctx.recv_into(left, into)
            into += 1 + ctx.rank  # so that every write shows

        shift(ctx, x, x[1:] + x[:1], receive, 10, 1)

    slow = Network(latency=1.0, jitter=3.0, seed=1)
    for n in (2, 3, 4):
        simulate(lambda ctx, n=n: program(ctx, n + 1), n, network=slow, deadline=1e6)


def test_pieces_cover_a_vector_once():
    for size in (1, 1000, MIB // 4, MIB // 4 + 1, 3 * MIB):
        found = pieces(np.zeros(size, np.float32))
        assert sum(piece.size for piece in found) == size
        assert all(piece.nbytes <= MIB for piece in found)
