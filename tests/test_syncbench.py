"""The public package: complete, documented, quick to import, and enough to write a strategy with."""

import inspect
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
import syncbench

HEAVY = ("torch", "pandas", "matplotlib", "numpy", "zmq")
MINE = """
import syncbench

class Mine(syncbench.AllReduce):
    traits = syncbench.Traits()

    def all_reduce(self, ctx, x):
        if ctx.rank == 0:
            for worker in ctx.workers[1:]:
                ctx.recv_add(worker, x)
            for worker in ctx.workers[1:]:
                ctx.send(worker, x)
        else:
            ctx.send(0, x)
            ctx.recv_into(0, x)
"""


@pytest.mark.parametrize("name", syncbench.__all__)
def test_every_name_is_documented(name):
    value = getattr(syncbench, name)
    assert f"`{name}`" in syncbench.__doc__
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{value.__name__}(")  # what a dataclass without a docstring has


def test_a_public_function_documents_its_parameters_and_errors():
    for function in (syncbench.run, syncbench.sweep, syncbench.compare):
        assert "Raises ConfigError" in function.__doc__
        for name in inspect.signature(function).parameters:
            assert f"`{name}`" in function.__doc__ or name in ("results", "paths")


def test_nothing_else_is_public():
    assert dir(syncbench) == syncbench.__all__ == sorted(syncbench.__all__)
    assert sorted(syncbench._MODULE_OF) == syncbench.__all__
    found = {name for name in vars(syncbench) if not name.startswith("_")}
    assert found - set(syncbench.__all__) <= {"ast", "importlib", "Any", "Path"}
    with pytest.raises(AttributeError, match="no attribute 'secret'"):
        syncbench.secret  # noqa: B018


def test_a_type_checker_sees_the_same_names():
    seen = types.ModuleType("seen")
    exec(Path(syncbench.__file__).with_suffix(".pyi").read_text(), seen.__dict__)
    for name in syncbench.__all__:
        assert getattr(seen, name) is getattr(syncbench, name)
    assert (Path(syncbench.__file__).parent / "py.typed").is_file()


def test_importing_it_loads_nothing_heavy():
    code = f"import sys, syncbench; print([name for name in {HEAVY} if name in sys.modules])"
    path = [str(Path(syncbench.__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_a_strategy_of_15_lines_passes_the_check_and_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_strategy.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from my_strategy import Mine

    assert len(MINE.strip().splitlines()) <= 15
    assert syncbench.check(Mine, workers=(1, 2, 3), sizes=(0, 7)) == 12


def test_a_simulation_runs_any_program_on_a_network_of_ones_own():
    outcome = syncbench.simulate(lambda ctx: ctx.barrier(), 2, network=syncbench.Network(latency=0.5))
    assert outcome.seconds == 0.5
    with pytest.raises(syncbench.PeerFailed):
        syncbench.simulate(lambda ctx: ctx.sleep(9.0), 1, faults=[syncbench.Kill(0, at=1.0)])


def test_a_wrong_option_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(syncbench.ConfigError, match="unknown option 'wrkers': did you mean workers"):
        syncbench.run(wrkers=2)
    with pytest.raises(syncbench.ConfigError, match="workers: 'two' is not a whole number"):
        syncbench.run(workers="two", results=tmp_path)
    with pytest.raises(syncbench.ConfigError, match="unknown option 'wrkers': did you mean workers"):
        syncbench.sweep(strategies=["ring"], wrkers=2, results=tmp_path)


@pytest.mark.system
def test_a_script_without_a_guard_trains_compares_and_reads_its_results(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[str(Path(syncbench.__file__).parents[1]), *sys.path]!r}
        import syncbench
        common = dict(workers=2, steps=6, data="synthetic", results="results")
        one = syncbench.run(strategy="ring", **common)
        other = syncbench.run(strategy="ps-ssp", strategy_options={{"staleness": 1}}, **common)
        print(one.status, other.summary.consistency)
        comparison = syncbench.compare("results", anyway=True)
        frames = syncbench.load_runs("results")
        print(len(comparison.contests[0].entries), len(frames.runs), frames.steps.step.max())
        folder = syncbench.sweep(strategies=["star"], workers=[1, 2], steps=4, repeats=1, data="synthetic",
                                 ceiling=False, yardstick=False, calibrate=False)
        print(sorted(syncbench.load_runs(folder).runs.workers))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ok ssp(1)", "2 2 5", "[1, 2]"]


def test_types_are_those_of_numpy():
    assert np.zeros(1, np.float32).dtype == syncbench.Vector.__args__[1].__args__[0]
