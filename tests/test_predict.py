"""The predicted time of an exchange, and of the exchanges in a step of a run."""

import math

import pytest
from msgspec.structs import replace
from runs import summary

from allreduce.ring import Ring
from allreduce.tree import Tree
from common.strategy import Link
from experiments.prediction.cost_model import (
    Calibration,
    Curve,
    Figures,
    constant,
)
from experiments.prediction.predict import (
    by_formulas,
    formula_seconds,
    predicted_step_exchange,
    simulated,
    virtual_seconds,
)
from experiments.prediction.simulation import simulation_cost
from experiments.prediction.step_cost import lockstep_seconds
from ps.strategy import PsBsp

LINK = Link(alpha=50e-6, beta=8e-9, gamma=1e-9)


MIB = 1 << 20


def curve(sizes=(MIB, 16 * MIB), beta=(1e-9, 3e-9), gamma=(0.0, 1e-10), alpha=1e-5):
    return Curve(alpha, sizes, beta, gamma)


RUN = {"workers": 4, "transport": "shm", "parameters": 1 << 20, "bucket": 1 << 40, "overlap": "off", "batch": 128}
SUMMARY = summary("ring", **RUN)


FLAT = Calibration((Figures("shm", 4, Curve(1e-3, (4,), (1e-9,), (0.0,)), curve()),))


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("strategy", ["ring", "tree"])
def test_formula_and_virtual_time_agree(strategy, n):
    who = strategy, {}, n, 0, 4 * 16 * 1000, constant(LINK)
    formula = formula_seconds(*who)
    assert virtual_seconds(*who) == pytest.approx(formula, rel=1e-6)
    assert formula == (Ring if strategy == "ring" else Tree)().seconds(n, 0, 64_000, LINK)


@pytest.mark.parametrize("nbytes", [4096, MIB, 6 * MIB])
def test_a_server_takes_in_virtual_time_about_what_the_formula_says(nbytes):
    without_adding = constant(Link(LINK.alpha, LINK.beta))
    who = "ps-bsp", {}, 4, 1, nbytes, without_adding
    assert virtual_seconds(*who) == pytest.approx(formula_seconds(*who), rel=0.02)


def test_a_strategy_with_servers_goes_by_the_figures_of_a_hub():
    both = Figures("shm", 2, curve(alpha=1.0), curve(alpha=100.0))
    assert formula_seconds("ring", {}, 2, 0, 4, both) == pytest.approx(2.0)
    assert formula_seconds("ps-bsp", {}, 2, 1, 4, both) == pytest.approx(200.0)


def test_options_of_the_strategy_count():
    few = formula_seconds("double-tree", {"chunks": 1}, 8, 0, MIB, constant(LINK))
    many = formula_seconds("double-tree", {"chunks": 32}, 8, 0, MIB, constant(LINK))
    assert few > many


def test_colocated_servers_one_a_worker_carry_the_bytes_of_a_ring():
    link = Link(0.0, 1e-9)
    who = "ps-bsp", {}, 8, 8, MIB
    assert formula_seconds(*who, constant(link), "colocated") == pytest.approx(Ring().seconds(8, 0, MIB, link))
    assert simulation_cost(*who, "colocated") == math.inf


@pytest.mark.parametrize(("workers", "nbytes"), [(2000, 4), (1000, 100 * MIB)], ids=["workers", "bytes"])
def test_an_exchange_too_large_to_simulate_has_a_formula_alone(workers, nbytes):
    who = "ring", {}, workers, 0, nbytes
    assert simulation_cost(*who) == math.inf
    assert formula_seconds(*who, constant(LINK)) > 0


def test_an_engine_of_other_people_is_not_predicted():
    assert formula_seconds("gloo", {}, 4, 0, MIB, constant(LINK)) is None
    assert simulation_cost("gloo", {}, 4, 0, MIB) == math.inf


def test_a_strategy_that_exchanges_nothing_takes_no_time():
    assert formula_seconds("noop", {}, 4, 0, MIB, constant(LINK)) == 0.0


def test_the_cheapest_are_simulated_within_the_budget():
    two = {count: constant(LINK) for count in (2, 64)}
    cells = by_formulas(["ring"], (2, 64), 1, (4096,), two)
    done, without = simulated(cells, two, 0.1)
    assert [cell.virtual is None for cell in done] == [False, True]
    assert without == 1
    assert simulated(cells, two, 0.0) == (cells, 2)


def test_a_step_has_an_exchange_for_each_bucket():
    share = 2 * 3 / 4 * (4 << 20) * 1e-9
    assert predicted_step_exchange(SUMMARY, FLAT) == pytest.approx(6e-3 + share)
    parts = replace(SUMMARY, bucket=1 << 20)
    assert predicted_step_exchange(parts, FLAT) == pytest.approx(4 * 6e-3 + share)
    uneven = replace(SUMMARY, bucket=3 << 20)
    assert predicted_step_exchange(uneven, FLAT) == pytest.approx(2 * 6e-3 + share)


@pytest.mark.parametrize(
    "change",
    [
        {"overlap": "on"},
        {"sparse": True},
        {"parameters": None},
        {"transport": "tcp"},
        {"strategy": "gloo"},
        {"consistency": "asp"},
        {"consistency": "backup(1)"},
    ],
)
def test_a_run_that_cannot_be_predicted_has_no_prediction(change):
    assert predicted_step_exchange(replace(SUMMARY, **change), FLAT) is None
    assert predicted_step_exchange(SUMMARY, None) is None


def test_a_run_in_virtual_time_is_predicted_from_its_link():
    virtual = replace(SUMMARY, transport="virtual", link="1gbit,50us")
    assert predicted_step_exchange(virtual, None) == Ring().seconds(4, 0, 4 << 20, Link(50e-6, 8e-9))


def test_a_server_on_a_given_link_is_predicted_by_its_steps_and_a_measured_one_by_its_exchange():
    served = summary("ps-bsp", **RUN)
    virtual = replace(served, transport="virtual", link="1gbit,50us")
    steps = lockstep_seconds(4, 1, 4 << 20, Link(50e-6, 8e-9), 1 << 20)
    assert predicted_step_exchange(virtual, None) == steps != PsBsp().seconds(4, 1, 4 << 20, Link(50e-6, 8e-9))
    halves = replace(virtual, bucket=2 << 20)
    assert predicted_step_exchange(halves, None) == 2 * PsBsp().seconds(4, 1, 2 << 20, Link(50e-6, 8e-9))
    measured = PsBsp().seconds(4, 1, 4 << 20, FLAT.figures[0].hub.link(4 << 20))
    assert predicted_step_exchange(served, FLAT) == measured
