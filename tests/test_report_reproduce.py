"""The commands in a report: pasted, they lead to the same jobs."""

import dataclasses
import shlex
import subprocess

import pytest
import yaml
from runs import write_run

from common.errors import ConfigError
from experiments.cli import run as run_verb
from experiments.cli.main import strategy_options
from experiments.config import RunOptions, plan
from experiments.config.argument_parser import parse
from experiments.report.reproduce import commands, read_config, run_words
from experiments.runs.execute import _config
from experiments.runs.find import load_run
from experiments.sweep.parse import load, read

ASKED = [
    RunOptions(),
    RunOptions(strategy="single", workers=3, steps=7, batch=9, seed=5),
    RunOptions(strategy="ps-bsp", servers=3, placement="colocated", threads=2, optimizer="adam", lr=1e-05),
    RunOptions(strategy="ps-ssp", strategy_options={"staleness": 7}, momentum=0.0, jitter="uniform:0,0.01"),
    RunOptions(strategy="ps-async", on_worker_death="continue", slow_worker=("1:2", "3:1.5"), train_seconds=0.25),
    RunOptions(strategy="ps-bsp", checkpoint_every=5, restarts=2, deadline=7.5, overlap="off", bucket=1000),
    RunOptions(hidden=(256, 128), schedule="step", decay=0.5, decay_every=11, transport="ipc", overlap="on"),
    RunOptions(schedule="cosine", warmup=3, transport="tcp", interface="127.0.0.1", bucket=64 << 10),
    RunOptions(strategy="ring", hosts=2, transport="tcp", bucket=1 << 40),
    RunOptions(strategy="double-tree", strategy_options={"chunks": 3}),
    RunOptions(strategy="allreduce.ring:Ring", trace=True),
    RunOptions(transport="virtual", link="1gbit,50us", workers=64, steps=3),
    RunOptions(partition="dirichlet:0.3", preprocess="normalise,flip"),
    RunOptions(strategy="ps-bsp", data="clicks:rows=1000,skew=1.2", model="embedding", momentum=0.0),
]


def parsed(line):
    """The plan that a command line of `run` leads to, in a new shell."""
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("syncbench", "run")
    own, rest = strategy_options(words)
    return plan(dataclasses.replace(parse(run_verb.Options, rest, "syncbench run"), strategy_options=own))


def a_run(tmp_path, job, **how):
    folder = write_run(tmp_path, job.strategy, **how)
    (folder / "config.yaml").write_text(_config(job))
    return load_run(folder)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: " ".join(run_words(dataclasses.asdict(asked))[2:]))
def test_the_command_leads_to_the_same_plan(tmp_path, asked):
    wanted = dataclasses.replace(plan(asked), automatic=())  # a command to repeat it leaves nothing open
    (command,) = commands([a_run(tmp_path, wanted.job)])
    assert dataclasses.replace(parsed(command.text), automatic=()) == wanted


def test_options_that_have_their_default_are_left_out():
    words = run_words(dataclasses.asdict(RunOptions(strategy="ps-bsp", servers=2)))
    assert words == ["syncbench", "run", "--strategy", "ps-bsp", "--servers", "2"]


def test_options_of_a_strategy_are_kept_whatever_they_are():
    options = {"a": "yes", "b": [1, {"c": None}], "d": "a b; rm -rf 'x'", "e": True, "f": 0.5, "g": "--h", "i": ""}
    line = shlex.join(run_words({"strategy": "x", "strategy_options": options}))
    assert strategy_options(shlex.split(line))[0] == options


def test_words_with_spaces_are_quoted(tmp_path):
    run = a_run(tmp_path, dataclasses.replace(plan(RunOptions()).job, data="npz:/a b/$(c).npz"))
    (command,) = commands([run])
    assert "npz:/a b/$(c).npz" in shlex.split(command.text)


def test_repeats_are_run_in_turns(tmp_path):
    jobs = [plan(RunOptions(strategy=name)).job for name in ("ring", "star")]
    runs = [a_run(tmp_path, job, name=f"{job.strategy}{k}") for k in range(3) for job in jobs]
    (command,) = commands(runs)
    first, *lines, last, report = command.text.splitlines()
    assert (first, last) == ("for repeat in $(seq 3); do", "done")
    assert report == "syncbench report results/again"
    assert all(line.endswith(" --results results/again") for line in lines)
    assert [parsed(line).job for line in lines] == jobs


def test_a_sweep_is_repeated_as_a_sweep_with_its_file(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text("name: 'it''s $HOME'\nEND_OF_SWEEP: 1\n")
    (command,) = commands([], file)
    first, *content, end, last = command.text.splitlines()
    assert first == f"cat > again.yaml <<'{end}'"
    assert end not in content
    assert "\n".join(content) + "\n" == file.read_text()
    assert last == "syncbench sweep again.yaml"


ASKED_OF_SWEEPS = [
    {"strategies": ["ring", {"name": "ps-ssp", "options": {"staleness": ["1", "7"]}}], "workers": ["1", "2"]},
    {"strategies": ["ring"], "question": "why?", "yardstick": "false", "calibrate": "false", "repeats": "3"},
    {"strategies": ["ring"], "hidden": ["64", "512,256"], "overlap": "off", "workers": ["4", "8"]},
    {"strategies": ["ring"], "bucket": ["null", "4MiB"], "slow_worker": "1:2", "trace": "true"},
]


@pytest.mark.parametrize("asked", ASKED_OF_SWEEPS)
def test_the_file_in_the_command_of_a_sweep_says_the_same_sweep(tmp_path, asked):
    sweep = read(asked, {}, name="it")
    (tmp_path / "sweep.yaml").write_text(sweep.to_yaml())
    (command,) = commands([], tmp_path / "sweep.yaml")
    *before, last = command.text.splitlines()
    subprocess.run(["sh", "-c", "\n".join(before)], cwd=tmp_path, check=True, timeout=20)
    program, verb, file = shlex.split(last)
    assert (program, verb) == ("syncbench", "sweep")
    assert read(load(tmp_path / file), {}) == sweep


def test_the_command_of_a_sweep_leaves_out_what_is_as_usual(tmp_path):
    asked = {"strategies": ["ring", "tree"], "workers": ["1", "2"], "train_seconds": "0.02", "steps": "200"}
    (tmp_path / "sweep.yaml").write_text(read(asked, {}, name="it").to_yaml())
    (command,) = commands([], tmp_path / "sweep.yaml")
    lines = command.text.splitlines()[1:-2]
    assert lines == ["name: it", "strategies: [ring, tree]", "repeats: 5", "workers: [1, 2]", "train_seconds: 0.02"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is missing"),
        ("a: [", "cannot be read"),
        ("just text", "is no configuration of a run"),
        ("workers: 3", "is no configuration of a run"),
        ("strategy: ring\nfrom_the_future: 1\nworkers: 2", "options that this version does not know: from_the_future"),
    ],
)
def test_a_run_without_a_usable_configuration_is_named(tmp_path, content, why):
    run = load_run(write_run(tmp_path, "ring"))
    if content is not None:
        (run.path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match=why):
        read_config(run)
    (command,) = commands([run])
    assert command.text == ""
    assert str(run.path) in command.about
    assert why in command.about


def test_the_configuration_of_a_run_has_no_option_that_the_command_line_lacks():
    known = {field.name for field in dataclasses.fields(RunOptions)}
    assert set(yaml.safe_load(_config(plan(RunOptions()).job))) <= known
