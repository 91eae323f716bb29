"""Figures found on a network whose α, β and γ are known, and predictions that follow from them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from allreduce.ring import Ring
from allreduce.tree import Tree
from common.errors import ConfigError
from common.link_probe import pieces, shift
from common.simulate import simulate
from common.strategy import Link
from common.transport.virtual.network import Network
from experiments.comparison import Contest, Entry
from experiments.metrics.intervals import Interval
from experiments.prediction import (
    Calibration,
    Curve,
    Figures,
    Predicted,
    constant,
    crossovers,
    newest_calibration,
    predicted_exchange_seconds,
    predicted_rate,
    predicted_step_exchange,
    read_calibration,
    write_calibration,
)
from experiments.prediction import probes as primitives_module
from experiments.prediction.batch import by_formulas, simulated
from experiments.prediction.calibrate import figures_of
from experiments.prediction.cost_model import among_neighbours, through_a_hub
from experiments.prediction.crossovers import reigns, sentence
from experiments.prediction.links import parse_link
from experiments.prediction.probes import primitives
from experiments.prediction.step_cost import lockstep_seconds
from experiments.runs.run import Run
from ps.strategy import PsBsp

LINK = Link(alpha=50e-6, beta=8e-9, gamma=1e-9)
MIB = 1 << 20


def network(link):
    return Network(latency=link.alpha, bandwidth=1 / link.beta, reduce=link.gamma)


def curve(sizes=(MIB, 16 * MIB), beta=(1e-9, 3e-9), gamma=(0.0, 1e-10), alpha=1e-5):
    return Curve(alpha, sizes, beta, gamma)


def figures(transport="shm", workers=4, **more):
    return Figures(transport, workers, curve(**more), curve(**more))


# --- calibration ---


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


def test_with_one_segment_who_has_its_answer_first_begins_again_first():
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


def test_what_is_passed_on_is_never_overwritten_before_it_was_read():
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


def test_curves_turn_seconds_into_the_terms_of_the_formulas():
    n, nbytes = 3, 4 * MIB
    piece = nbytes / (n + 1)
    near = among_neighbours(n, [nbytes], 2.0, [2 + 5 * piece], [2 + 7 * piece])
    assert near == Curve(2.0, (nbytes,), (5.0,), (2.0,))
    hub = through_a_hub(n, [nbytes], 2.0, [2 + 1.25 * n * nbytes * 5], [2 + 1.25 * n * nbytes * 5 + 7 * n * nbytes])
    assert hub == Curve(1.0, (nbytes,), (5.0,), (7.0,))


def test_where_adding_costs_less_than_moving_an_all_reduce_pays_the_mean_of_both():
    near = among_neighbours(1, [8], 0.0, [4 * 6.0], [4 * 2.0])
    assert near == Curve(0.0, (8,), (4.0,), (0.0,))


def test_a_step_that_takes_less_than_a_message_costs_nothing_a_byte():
    assert among_neighbours(1, [8], 5.0, [1.0], [1.0]).beta == (0.0,)
    assert through_a_hub(1, [8], 5.0, [1.0], [1.0]).beta == (0.0,)


def test_between_sizes_figures_are_interpolated_and_beyond_them_flat():
    found = [curve().link(nbytes).beta for nbytes in (1, MIB, 4 * MIB, 16 * MIB, 1 << 30)]
    assert found == pytest.approx([1e-9, 1e-9, 2e-9, 3e-9, 3e-9])
    assert curve().link(4 * MIB).gamma == pytest.approx(0.5e-10)


# --- files ---


def test_a_calibration_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "calibration.json"
    write_calibration(path, Calibration((figures(), figures("tcp", 2)), {"cores": 2}))
    found = read_calibration(path)
    assert found.figures == (figures(), figures("tcp", 2))
    assert (found.environment, found.name) == ({"cores": 2}, str(path))
    assert read_calibration(tmp_path) == found  # the folder will do
    saved = json.loads(path.read_text())
    assert saved["schema"] == 1
    assert {"transport", "workers", "alpha", "beta", "gamma"} <= saved["figures"][0].keys()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no calibration at .*: no such file"),
        ("{", "is not valid JSON"),
        ("[]", "does not hold a JSON object"),
        ('{"schema": 2}', "has schema 2; this version reads schema 1"),
        ('{"schema": 1}', "is no calibration: lacks 'figures'"),
        ('{"schema": 1, "figures": []}', "is no calibration: there are no figures"),
        ('{"schema": 1, "figures": [{"transport": "shm", "workers": 2}]}', "is no calibration: lacks 'exchange'"),
        ('{"schema": 1, "figures": [3]}', "is no calibration"),
    ],
)
def test_what_is_no_calibration_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "calibration.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=complaint) as refusal:
        read_calibration(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("change", [{"beta": [1.0]}, {"sizes": [2, 1]}, {"alpha": math.nan}, {"gamma": [-1.0, 0.0]}])
def test_a_curve_that_cannot_be_is_refused(tmp_path, change):
    values = figures().to_dict()
    values["exchange"] |= change
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"schema": 1, "figures": [values]}))
    with pytest.raises(ConfigError, match="is no calibration"):
        read_calibration(path)


def test_the_newest_calibration_is_found(tmp_path):
    for stamp in ("20250101T000000Z", "20260101T000000Z", "20250601T000000Z"):
        folder = tmp_path / f"{stamp}-calibration-abc"
        folder.mkdir()
        (folder / "calibration.json").write_text("{}")
    assert newest_calibration(tmp_path).parent.name.startswith("2026")
    with pytest.raises(ConfigError, match=r"no calibration in .*nowhere: run syncbench calibrate first"):
        newest_calibration(tmp_path / "nowhere")


def test_figures_of_the_nearest_number_of_workers_are_taken_with_a_word():
    calibration = Calibration((figures(workers=2), figures(workers=4)), name="c.json")
    assert calibration.nearest("shm", 4) == (figures(workers=4), None)
    assert calibration.nearest(None, 2)[0].workers == 2
    found, word = calibration.nearest("shm", 64)
    assert found.workers == 4
    assert word == "64 workers are predicted from figures measured with 4 over shm"


def test_another_transport_than_was_measured_is_refused():
    calibration = Calibration((figures("shm"), figures("ipc")), name="c.json")
    with pytest.raises(ConfigError, match=r"c.json has shm, ipc, not tcp: run syncbench calibrate --transport tcp"):
        calibration.nearest("tcp", 4)
    with pytest.raises(ConfigError, match=r"c.json has shm and ipc: say which with --transport"):
        calibration.nearest(None, 4)


@pytest.mark.parametrize(
    ("text", "alpha", "beta"),
    [("1gbit,50us", 50e-6, 8e-9), ("25mbit,0.5ms", 5e-4, 3.2e-7), ("1gbit,50us,5us", 55e-6, 8e-9)],
)
def test_a_link_in_words_becomes_the_terms_of_the_formulas(text, alpha, beta):
    link = parse_link(text)
    assert (link.alpha, link.beta, link.gamma) == pytest.approx((alpha, beta, 0.0))


@pytest.mark.parametrize("text", ["", "fast", "50us", "0gbit,50us", "1gbit,50"])
def test_what_is_no_link_is_refused(text):
    with pytest.raises(ConfigError, match=r"--link: .*"):
        parse_link(text)


# --- predictions ---


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("strategy", ["ring", "tree"])
def test_formula_and_virtual_time_agree(strategy, n):
    found = predicted_exchange_seconds(strategy, {}, n, 0, 4 * 16 * 1000, constant(LINK), budget=60.0)
    assert found.virtual == pytest.approx(found.formula, rel=1e-6)
    assert found.formula == (Ring if strategy == "ring" else Tree)().seconds(n, 0, 64_000, LINK)


@pytest.mark.parametrize("nbytes", [4096, MIB, 6 * MIB])
def test_a_server_takes_in_virtual_time_about_what_the_formula_says(nbytes):
    without_adding = constant(Link(LINK.alpha, LINK.beta))
    found = predicted_exchange_seconds("ps-bsp", {}, 4, 1, nbytes, without_adding, budget=60.0)
    assert found.virtual == pytest.approx(found.formula, rel=0.02)


def test_a_strategy_with_servers_goes_by_the_figures_of_a_hub():
    both = Figures("shm", 2, curve(alpha=1.0), curve(alpha=100.0))
    assert predicted_exchange_seconds("ring", {}, 2, 0, 4, both).formula == pytest.approx(2.0)
    assert predicted_exchange_seconds("ps-bsp", {}, 2, 1, 4, both).formula == pytest.approx(200.0)


def test_options_of_the_strategy_count():
    few = predicted_exchange_seconds("double-tree", {"chunks": 1}, 8, 0, MIB, constant(LINK))
    many = predicted_exchange_seconds("double-tree", {"chunks": 32}, 8, 0, MIB, constant(LINK))
    assert few.formula > many.formula


def test_colocated_servers_one_a_worker_carry_the_bytes_of_a_ring():
    link = Link(0.0, 1e-9)
    placed = predicted_exchange_seconds("ps-bsp", {}, 8, 8, MIB, constant(link), placement="colocated", budget=9.0)
    assert placed == Predicted(pytest.approx(Ring().seconds(8, 0, MIB, link)), None)


@pytest.mark.parametrize(("workers", "nbytes"), [(2000, 4), (1000, 100 * MIB)], ids=["workers", "bytes"])
def test_what_is_too_large_to_simulate_has_a_formula_alone(workers, nbytes):
    found = predicted_exchange_seconds("ring", {}, workers, 0, nbytes, constant(LINK), budget=1e9)
    assert found.virtual is None
    assert found.formula > 0


def test_an_engine_of_other_people_is_not_predicted():
    assert predicted_exchange_seconds("gloo", {}, 4, 0, MIB, constant(LINK), budget=9.0) == Predicted(None)


def test_who_exchanges_nothing_takes_no_time():
    assert predicted_exchange_seconds("noop", {}, 4, 0, MIB, constant(LINK)).formula == 0.0


def test_the_cheapest_are_simulated_within_the_budget():
    two = {count: constant(LINK) for count in (2, 64)}
    cells = by_formulas(["ring"], (2, 64), 1, (4096,), two)
    done, without = simulated(cells, two, 0.1)
    assert [cell.virtual is None for cell in done] == [False, True]
    assert without == 1
    assert simulated(cells, two, 0.0) == (cells, 2)


# --- crossovers ---


@pytest.mark.parametrize("n", [4, 16, 64])
def test_the_crossover_is_where_algebra_says(n):
    """2⌈log₂n⌉(α + Mβ) = 2(n-1)α + 2(n-1)/n·Mβ, without the adding."""
    link, steps = Link(50e-6, 8e-9), math.log2(n)
    at = link.alpha * (n - 1 - steps) / (link.beta * (steps - (n - 1) / n))
    found = reigns(["ring", "tree"], n, 1, 4, 1 << 30, constant(link))
    assert [reign.strategy for reign in found] == ["tree", "ring"]
    assert found[0].high == found[1].low == pytest.approx(at, rel=0.01)
    assert (found[0].low, found[1].high) == (4, 1 << 30)


def test_who_wins_everywhere_reigns_alone_and_equals_go_to_the_first_named():
    found = reigns(["ring", "tree"], 2, 1, 4, 1 << 30, constant(Link(0.0, 8e-9)))
    assert [reign.strategy for reign in found] == ["ring"]
    same = reigns(["noop", "single"], 2, 1, 4, 1 << 20, constant(LINK))
    assert [reign.strategy for reign in same] == ["noop"]


@pytest.mark.parametrize(
    ("dip", "told"),
    [
        (0.97, "8 workers, 1.0 KiB to 1.0 MiB: ring at every size (tree within 5 %); at 1.0 MiB ring takes 1.00 ms, "),
        (0.90, "8 workers, 1.0 KiB to 1.0 MiB: ring up to 4.0 KiB, then tree up to 64.0 KiB, then ring; at 1.0 MiB "),
    ],
)
def test_who_is_ahead_by_less_than_five_percent_ends_no_reign(monkeypatch, dip, told):
    times = {"ring": lambda size: 1e-3, "tree": lambda size: 1e-3 * (dip if 4096 <= size < 65536 else 2)}
    monkeypatch.setattr(crossovers, "curves", lambda *_: times)
    network = constant(LINK)
    found = reigns(list(times), 8, 1, 1024, 1 << 20, network)
    assert [one.level for one in found] == ([("tree",)] if dip > 0.95 else [(), (), ()])
    assert sentence(list(times), 8, 1, found, network).startswith(told)


@pytest.mark.parametrize("workers", [8, 1024])
def test_who_reigns_is_about_within_five_percent_of_the_fastest_everywhere(workers):
    """Pieces of whole segments make the curves of trees uneven: they cross that of a ring many times.

    Between the sizes that are looked at a peak may be a little higher.
    """
    names, network = ["ring", "tree", "double-tree", "ps-bsp"], constant(Link(50e-6, 8e-9))
    found = reigns(names, workers, 1, 4096, 100 << 20, network)
    times = crossovers.curves(names, workers, 1, network)
    assert [one.low for one in found[1:]] == [one.high for one in found[:-1]]
    for one in found:
        low, high = one.low * crossovers.SHARP, one.high / crossovers.SHARP
        for size in (round(low * (high / low) ** (place / 50)) for place in range(51)):
            assert times[one.strategy](size) <= 1.08 * min(time(size) for time in times.values())
    if workers == 1024:
        assert [one.strategy for one in found] == ["tree", "ring", "double-tree", "ring"]


def test_a_sentence_says_who_is_fastest_from_where_on():
    names, network = ["ring", "tree", "gloo"], constant(Link(50e-6, 8e-9))
    said = sentence(names, 16, 1, reigns(names, 16, 1, 1024, 1 << 20, network), network)
    assert said.startswith("16 workers, 1.0 KiB to 1.0 MiB: tree up to 21.9 KiB, then ring; at 1.0 MiB ring takes ")
    assert sentence(["gloo"], 4, 1, reigns(["gloo"], 4, 1, 4, 8, network), network).endswith("has a formula")
    assert sentence(names, 1, 1, reigns(names, 1, 1, 4, 8, network), network) == "1 worker: nothing is exchanged"


# --- runs ---

SUMMARY = {
    "strategy": "ring",
    "strategy_options": {},
    "workers": 4,
    "servers": 0,
    "placement": None,
    "transport": "shm",
    "parameters": 1 << 20,
    "bucket": 1 << 40,
    "overlap": "off",
    "sparse": False,
    "batch": 128,
}
FLAT = Calibration((Figures("shm", 4, Curve(1e-3, (4,), (1e-9,), (0.0,)), curve()),))


def test_a_step_has_an_exchange_for_each_bucket():
    share = 2 * 3 / 4 * (4 << 20) * 1e-9
    assert predicted_step_exchange(SUMMARY, FLAT) == pytest.approx(6e-3 + share)
    parts = {**SUMMARY, "bucket": 1 << 20}
    assert predicted_step_exchange(parts, FLAT) == pytest.approx(4 * 6e-3 + share)
    uneven = {**SUMMARY, "bucket": 3 << 20}
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
def test_what_cannot_be_said_of_a_run_is_not_said(change):
    assert predicted_step_exchange({**SUMMARY, **change}, FLAT) is None
    assert predicted_step_exchange(SUMMARY, None) is None


def test_a_run_in_virtual_time_is_predicted_from_its_link():
    virtual = {**SUMMARY, "transport": "virtual", "link": "1gbit,50us"}
    assert predicted_step_exchange(virtual, None) == Ring().seconds(4, 0, 4 << 20, Link(50e-6, 8e-9))


def test_a_server_on_a_given_link_is_predicted_by_its_steps_and_a_measured_one_by_its_exchange():
    served = {**SUMMARY, "strategy": "ps-bsp", "servers": 1}
    virtual = {**served, "transport": "virtual", "link": "1gbit,50us"}
    steps = lockstep_seconds(4, 1, 4 << 20, Link(50e-6, 8e-9), 1 << 20)
    assert predicted_step_exchange(virtual, None) == steps != PsBsp().seconds(4, 1, 4 << 20, Link(50e-6, 8e-9))
    halves = {**virtual, "bucket": 2 << 20}
    assert predicted_step_exchange(halves, None) == 2 * PsBsp().seconds(4, 1, 2 << 20, Link(50e-6, 8e-9))
    measured = PsBsp().seconds(4, 1, 4 << 20, FLAT.figures[0].hub.link(4 << 20))
    assert predicted_step_exchange(served, FLAT) == measured


def test_a_rate_is_the_batch_by_the_ceilings_step_and_the_exchange():
    def entry(strategy, rate, **more):
        return Entry(strategy, strategy, (Run(Path(), SUMMARY),), (rate,), Interval(rate, rate, rate), **more)

    def contest(*entries):
        return Contest({}, entries, "ring")

    ring, noop = entry("ring", 1000.0), entry("noop", 128 / 0.01)
    expected = 128 / (0.01 + predicted_step_exchange(SUMMARY, FLAT))
    assert predicted_rate(ring, contest(ring, noop), FLAT) == pytest.approx(expected)
    assert predicted_rate(ring, contest(ring), FLAT) is None
    assert predicted_rate(ring, contest(ring, entry("noop", 128 / 0.01, refused="did other work")), FLAT) is None
    assert predicted_rate(ring, contest(ring, noop), None) is None
