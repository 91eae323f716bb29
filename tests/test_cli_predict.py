"""The verbs calibrate and predict: what they say, what they leave behind, and how they refuse."""

import json

import pytest
from benches import document as bench_document
from benches import plan
from runs import write_run

from experiments.comparison.predictions import residuals
from experiments.prediction.calibration_file import read_calibration, write_calibration
from experiments.prediction.cost_model import Calibration, Curve, Figures
from experiments.prediction.predict import formula_seconds
from experiments.prediction.residuals import median_error
from experiments.schema.documents import Environment
from experiments.schema.files import to_builtins

FLAT = Curve(1e-4, (4096,), (1e-9,), (1e-10,))
SMALL = ("--workers", "4,8", "--sizes", "4KiB,64KiB,1MiB", "--budget", 1)


def flat(transport="ipc", workers=4):
    return Figures(transport, workers, FLAT, FLAT)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "c.json"
    write_calibration(path, Calibration((flat(),)))
    return path


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(to_builtins(bench_document(plan()))))
    return path


def test_predict_says_who_is_fastest_and_draws_it(answer):
    code, out, err = answer("predict", "--link", "1gbit,50us", *SMALL)
    assert (code, err) == (0, "")
    assert "8 workers: by formula / in virtual time" in out
    assert "8 workers, 4.0 KiB to 1.0 MiB: double-tree up to" in out or "8 workers, 4.0 KiB to 1.0 MiB: tree" in out
    assert ", then ring; at 1.0 MiB ring takes" in out


def test_what_is_not_there_is_named_before_a_calibration_is_missed(answer):
    code, out, err = answer("predict", "--against", "nowhere")
    assert (code, out, err) == (2, "", "syncbench: --against nowhere: there is no such file or folder\n")


def test_predict_as_json_has_the_rows_the_crossovers_and_the_pictures(answer, here):
    code, out, err = answer("predict", "--link", "1gbit,50us", "--strategies", "ring,tree", *SMALL, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema"] == 1
    assert {(row["strategy"], row["workers"], row["bytes"]) for row in found["rows"]} == {
        (s, n, m) for s in ("ring", "tree") for n in (4, 8) for m in (4096, 65536, 1 << 20)
    }
    assert all(row["virtual_seconds"] == pytest.approx(row["formula_seconds"], rel=1e-6) for row in found["rows"])
    assert [each["strategy"] for each in found["crossovers"]["8"]] == ["tree", "ring"]
    (folder,) = here.glob("results/*-predict-*")
    assert json.loads((folder / "predict.json").read_text()) == found
    assert {file.name for file in (folder / "plots").iterdir()} == {
        f"prediction.{kind}" for kind in ("png", "svg", "csv")
    }


def test_beyond_the_budget_there_are_formulas_alone_and_a_word(answer):
    code, out, err = answer("predict", "--link", "1gbit,50us", *SMALL[:-1], 0, "--strategies", "ring,gloo")
    assert code == 0
    assert "ms / –" in out
    assert "note: 12 of 12 not simulated" in err


def test_strategies_whose_workers_do_not_wait_for_each_other_are_named(answer):
    code, _, err = answer(
        "predict", "--link", "1gbit,50us", *SMALL[:-1], 0, "--strategies", "ring,noop,ps-bsp,ps-async"
    )
    assert code == 0
    assert "note: ps-async: as if all workers began at once and waited for each other, which they do not" in err


def test_figures_of_other_workers_are_named(answer, calibration):
    code, _, err = answer("predict", "--calibration", calibration, *SMALL, "--strategies", "ring")
    assert code == 0
    assert "note: 8 workers: from figures measured with 4 over ipc" in err


def test_predictions_are_held_against_a_benchmark(answer, calibration, bench, here):
    code, out, _ = answer("predict", "--against", bench, "--calibration", calibration)
    assert code == 0
    assert "Predicted and measured" in out
    assert "of 4 predictions by formula" in out
    (folder,) = here.glob("results/*-predict-*")
    assert (folder / "plots" / "residuals.svg").exists()


def test_what_was_timed_with_its_update_is_no_exchange_to_be_predicted_but_a_server_has_always_had_it(
    tmp_path, calibration
):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(to_builtins(bench_document(plan(update=True)))))
    rows, notes = residuals([path], read_calibration(calibration), 0.0)
    assert {row.strategy for row in rows} == {"ps-bsp"}
    assert notes == ["bench --with-update times more than an exchange: what is no server is left out"]


def test_the_residual_is_by_how_much_the_formula_is_too_long(calibration, bench):
    rows, notes = residuals([bench], read_calibration(calibration), 0.0)
    assert notes == []
    expected = []
    for row, measured in zip(
        rows, sorted(json.loads(bench.read_text())["rows"], key=lambda r: r["bytes"]), strict=True
    ):
        who = row.strategy, {}, row.workers, row.servers, row.nbytes
        formula = formula_seconds(*who, flat())
        assert (row.formula, row.measured) == (formula, measured["seconds_median"])
        assert row.residual == pytest.approx(formula / measured["seconds_median"] - 1)
        expected.append(abs(row.residual))
    assert median_error(rows) == pytest.approx(sum(sorted(expected)[1:3]) / 2)


def test_the_calibration_kept_with_a_result_is_taken(answer, bench, here):
    write_calibration(here / "calibration.json", Calibration((flat(),)))
    code, out, _ = answer("predict", "--against", bench, "--json")
    assert code == 0
    assert json.loads(out)["calibration"].endswith("calibration.json")


def test_runs_are_held_against_the_step_of_noop_and_the_exchange(tmp_path):
    """A step of the planted ring takes 4 ms, one of noop 2.6 ms: its exchange, 1.4 ms."""
    more = {"transport": "ipc", "parameters": 1 << 20, "servers": 0, "strategy_options": {}, "batch": 128}
    write_run(tmp_path, "ring", name="a", samples_per_second=128 / 4e-3, **more)
    write_run(tmp_path, "noop", name="b", samples_per_second=128 / 2.6e-3, **more)
    (row,), _ = residuals([tmp_path], Calibration((flat(),)), 0.0)
    assert (row.strategy, row.nbytes) == ("ring", 4 << 20)
    assert row.measured == pytest.approx(1.4e-3)
    assert row.formula == formula_seconds("ring", {}, 4, 0, 4 << 20, flat())


def test_one_worker_that_exchanges_nothing_is_no_residual(tmp_path):
    for strategy, workers in (("ring", 1), ("noop", 1), ("ring", 4), ("noop", 4)):
        write_run(tmp_path, strategy, name=f"{strategy}-{workers}", workers=workers, transport="ipc")
    rows, notes = residuals([tmp_path], Calibration((flat(),)), 0)
    assert [(row.strategy, row.workers) for row in rows] == [("ring", 4)]
    assert "1 worker without a server exchanges nothing: there is nothing to predict" in notes


def test_runs_of_another_model_are_no_repeats_and_have_their_own_ceiling(tmp_path):
    for hidden, ring, noop in ((64, 4e-3, 2.6e-3), (512, 9e-3, 5e-3)):
        for strategy, step in (("ring", ring), ("noop", noop)):
            name = f"{strategy}-{hidden}"
            more = {"hidden": [hidden], "batch": 128, "parameters": 1 << 20}
            write_run(tmp_path, strategy, name=name, samples_per_second=128 / step, **more)
    rows, _ = residuals([tmp_path], Calibration((flat(),)), 0.0)
    assert sorted(row.measured for row in rows) == pytest.approx([1.4e-3, 4e-3])


def test_runs_whose_workers_do_not_wait_for_each_other_are_not_predicted_and_it_is_said(tmp_path):
    for name in ("ps-async", "noop"):
        write_run(tmp_path, name, name=name, parameters=1 << 20)
    (row,), notes = residuals([tmp_path], Calibration((flat(),)), 0.0)
    assert (row.strategy, row.formula) == ("ps-async", None)
    assert notes == [
        "no prediction of ps-async: the formulas take it that every worker waits for all others in each step"
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("predict", "no calibration in results: run syncbench calibrate first"),
        ("predict --calibration nowhere.json", "no calibration at nowhere.json: no such file"),
        ("predict --link fast", "--link: 'fast' is not BANDWIDTH,LATENCY, like 1gbit,50us"),
        ("predict --link 1gbit,50us --against x", "--link is instead of a calibration"),
        (
            "predict --link 1gbit,50us --workers 8,x",
            "--workers: give whole numbers from 1, with commas between them, not '8,x'",
        ),
        (
            "predict --link 1gbit,50us --workers 0",
            "--workers: give whole numbers from 1, with commas between them, not '0'",
        ),
        ("predict --link 1gbit,50us --sizes 3B", "--sizes: 3B is 3 bytes"),
        ("predict --link 1gbit,50us --strategies rnig", "unknown strategy 'rnig': did you mean ring?"),
        ("predict --link 1gbit,50us --strategies ,", "--strategies: give at least one"),
        ("predict --link 1gbit,50us --servers 0", "--servers is 0"),
        ("predict --link 1gbit,50us --budget -1", "--budget is -1"),
        ("predict --calibration c.json --transport tcp", "c.json has ipc, not tcp: run syncbench calibrate"),
        (
            "predict --calibration c.json --against nowhere.json",
            "--against nowhere.json: there is no such file or folder",
        ),
        (
            "predict --calibration c.json --against c.json",
            "; a benchmark is bench.json, or what bench --json prints",
        ),
        ("predict --calibration c.json --against .", "no complete run in ."),
        ("predict --calibration c.json --against broken.json", "broken.json is not valid JSON"),
        ("calibrate --transport udp", "--transport is 'udp': give auto, shm, ipc or tcp"),
        ("calibrate --transport ,", "--transport: give at least one"),
        ("calibrate --workers two", "--workers: give whole numbers from 1, with commas between them, not 'two'"),
        ("calibrate --workers 2,100000", "100000 workers on one machine: at most 256"),
        ("calibrate --out .", "--out . is a folder: give a file"),
        ("calibrate --deadline 0", "--deadline is 0"),
    ],
)
def test_bad_usage_is_one_line_and_starts_nothing(answer, calibration, here, monkeypatch, words, complaint):
    monkeypatch.setattr(
        "experiments.prediction.calibrate.calibrate_all", lambda *_: pytest.fail("something was started")
    )
    (here / "broken.json").write_text("{")
    code, out, err = answer(*words.split())
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_calibrate_writes_what_predict_reads(answer, monkeypatch, here):
    def planted(specs, show):
        for each in specs:
            show(each)
        return Calibration(tuple(flat(each.transport, each.workers) for each in specs), Environment(cores=2))

    monkeypatch.setattr("experiments.prediction.calibrate.calibrate_all", planted)
    code, out, err = answer("calibrate", "--transport", "ipc,tcp", "--workers", "4,2")
    assert code == 0
    assert err.splitlines() == [f"{name}, {count} workers …" for name in ("ipc", "tcp") for count in (2, 4)]
    assert "What a message and a byte cost" in out
    (file,) = here.glob("results/*-calibration-*/calibration.json")
    assert [(each.transport, each.workers) for each in read_calibration(file).figures] == [
        (name, count) for name in ("ipc", "tcp") for count in (2, 4)
    ]
    code, out, err = answer("predict", "--transport", "tcp", "--workers", 4, "--sizes", "1MiB", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["calibration"].endswith(str(file.relative_to(here)))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (flat(), None),
        (Figures("ipc", 1, Curve(0.0, (1,), (0.0,), (0.0,)), FLAT), None),
        (
            Figures("ipc", 4, Curve(1e-4, (4096, 1 << 20), (0.0, 1e-9), (0.0, 0.0)), FLAT, scatter=0.3),
            "ipc, 4 workers: bytes among neighbours cost nothing at 4 KiB",
        ),
        (
            Figures("ipc", 1, FLAT, Curve(1e-4, (1 << 20,), (0.0,), (0.0,))),
            "ipc, 1 worker: bytes through a server cost nothing at 1 MiB",
        ),
        (
            Figures("ipc", 4, FLAT, FLAT, scatter=0.62),
            "ipc, 4 workers: half of the samples are more than 62% off their median",
        ),
    ],
)
def test_calibrate_says_which_of_its_figures_cannot_be_true(answer, monkeypatch, figures, said):
    monkeypatch.setattr("experiments.prediction.calibrate.calibrate_all", lambda specs, show: Calibration((figures,)))
    code, _, err = answer("calibrate", "--transport", "ipc", "--workers", "4")
    assert code == 0
    assert err == (f"note: the machine was busy: {said}: measure again\n" if said else "")
