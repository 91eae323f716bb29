"""`auto` measures the network, and every worker picks the algorithm that the formulas predict to be the fastest."""

import json

import numpy as np
import pytest

from allreduce.auto import ALGORITHMS, Auto, measure
from common.simulate import simulate
from common.strategy import Bucket, Link
from common.transport.virtual.network import Delay, Network
from experiments.config.strategies import strategy_class

SLOW = Link(alpha=50e-6, beta=1 / 125e6, gamma=1e-10)  # 1 Gbit/s
FAST = Link(alpha=5e-6, beta=1 / 10e9, gamma=1 / 16e9)
SMALL, LARGE = 16, 1 << 18  # elements: 64 B, 1 MiB


def network(link, **more):
    return Network(latency=link.alpha, bandwidth=1 / link.beta, reduce=link.gamma, **more)


def run(n, link, candidates=tuple(ALGORITHMS), sizes=(SMALL, LARGE), **more):
    """The strategy of each rank after a step of buckets of these sizes; checks that the means are right."""

    def program(ctx):
        strategy = Auto(candidates)
        strategy.setup(ctx, np.zeros(SMALL, np.float32))
        ctx.endpoint.reset()
        for size in sizes:
            grad = np.full(size, 10**ctx.rank, np.float32)
            strategy.synchronize(ctx, Bucket(grad, grad))
            np.testing.assert_allclose(grad, int("1" * n) / n, rtol=1e-6)
        return strategy

    return simulate(program, n, network=network(link), **more)


def picks(strategy):
    return [pick["algorithm"] for pick in strategy.notes()["picked"]]


@pytest.mark.parametrize("link", [SLOW, FAST])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_latency_bandwidth_and_the_cost_of_adding_are_found(link, n):
    for found in simulate(measure, n, network=network(link)).results:
        assert found.alpha == pytest.approx(link.alpha, rel=0.02)
        assert found.beta == pytest.approx(link.beta, rel=0.02)
        assert found.gamma == pytest.approx(link.gamma, rel=0.02)


def test_all_workers_use_the_same_figures_on_an_unsteady_network():
    unsteady = network(SLOW, jitter=10 * SLOW.alpha, seed=3)
    assert len(set(simulate(measure, 4, network=unsteady).results)) == 1


@pytest.mark.parametrize("when", [0.0, 1.5 * SLOW.alpha], ids=["first", "second"])
def test_one_late_message_does_not_change_the_figures(when):
    late = Delay(0, 1, seconds=1.0, at=when, until=when + SLOW.alpha)
    outcome = simulate(measure, 2, network=network(SLOW), faults=[late])
    assert outcome.seconds > 1.0
    assert outcome.results[0].alpha == pytest.approx(SLOW.alpha, rel=0.02)


def test_a_figure_that_would_be_below_zero_is_zero():
    unsteady = [Network(latency=1.0, jitter=1.0, seed=seed) for seed in range(6)]
    found = [simulate(measure, 2, network=net).results[0] for net in unsteady]
    assert min(min(link.beta, link.gamma) for link in found) == 0.0


def test_a_worker_alone_measures_nothing():
    (strategy,) = run(1, SLOW).results
    assert strategy.link == Link()
    assert picks(strategy) == ["direct", "direct"]


@pytest.mark.parametrize(
    "candidates", [tuple(ALGORITHMS), ("ring", "tree"), ("star", "halving-doubling", "double-tree")]
)
@pytest.mark.parametrize("link", [SLOW, FAST])
@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_every_worker_picks_the_smallest_prediction_for_each_size(n, link, candidates):
    def best(nbytes):
        """Return the first of the candidates that are equal but for rounding."""
        return min(candidates, key=lambda name: float(f"{ALGORITHMS[name]().seconds(n, 0, nbytes, link):.4g}"))

    for strategy in run(n, link, candidates).results:
        assert picks(strategy) == [best(4 * SMALL), best(4 * LARGE)]


@pytest.mark.parametrize(
    ("n", "candidates", "expected"),
    [
        (2, tuple(ALGORITHMS), ["recursive-doubling", "direct"]),
        (8, ("ring", "tree"), ["tree", "ring"]),
        (8, ("recursive-doubling", "halving-doubling"), ["recursive-doubling", "halving-doubling"]),
        (8, ("star", "ring"), ["star", "ring"]),
        (4, ("tree",), ["tree", "tree"]),
    ],
)
def test_latency_decides_for_small_vectors_and_bandwidth_for_large_ones(n, candidates, expected):
    costly_adding = Link(SLOW.alpha, SLOW.beta, gamma=1e-9)
    assert picks(run(n, costly_adding, candidates).results[0]) == expected


@pytest.mark.parametrize(("size", "messages"), [(SMALL, {0: 1}), (LARGE, {0: 6})], ids=["star", "ring"])
def test_the_picked_algorithm_is_the_one_that_runs(size, messages):
    assert run(4, SLOW, ("star", "ring"), sizes=[size]).meters[3].messages_to == messages


def test_hierarchical_is_judged_by_the_jobs_hosts():
    hosts = [(0, 1), (2, 3), (4, 5)]
    strategy = run(6, SLOW, ("hierarchical",), hosts=hosts).results[5]
    assert strategy.candidates["hierarchical"].hosts == tuple(hosts)


def test_the_prediction_of_auto_is_that_of_the_best_candidate():
    for nbytes in (64, 1 << 20):
        best = min(make().seconds(6, 0, nbytes, SLOW) for make in ALGORITHMS.values())
        assert Auto().seconds(6, 0, nbytes, SLOW) == best


def test_the_notes_of_auto_give_its_choices_and_figures():
    strategy = run(2, SLOW, ("ring",), sizes=[4810]).results[0]
    notes = strategy.notes()
    assert json.loads(json.dumps(notes)) == notes
    assert notes["picked"] == [{"bytes": 4 * 4810, "algorithm": "ring"}]
    assert notes["in_words"].startswith("picked ring for 18.8 KiB (α 50 µs, β 7.99 ns/B, γ 0.1 ns/B")
    assert (notes["alpha_seconds"], notes["beta_seconds_per_byte"]) == (strategy.link.alpha, strategy.link.beta)
    assert Auto().notes()["in_words"].startswith("picked nothing")


@pytest.mark.parametrize("candidates", [[], "ring", ["ring", "rnig"], None, 3, [["ring"]]])
def test_unknown_candidates_are_refused_with_the_known_names(candidates):
    with pytest.raises(ValueError, match=r"candidates is .*: give a list, like .*, of direct, recursive-doubling"):
        Auto(candidates)


def test_the_family_has_the_names_that_users_know():
    for name, algorithm in ALGORITHMS.items():
        assert strategy_class(name) is algorithm
