"""From a sweep file and flags to a sweep: typed as a run's options are, and one line for every mistake."""

import pytest
import yaml
from sweeps import sweep

from common.errors import ConfigError
from experiments.config import RunOptions
from experiments.sweep.grid import make_grid
from experiments.sweep.parse import READY, _Texts, find, load, read, ready
from experiments.sweep.spec import Contestant


def test_a_list_is_an_axis_and_other_settings_are_the_same_in_all_runs():
    found = sweep("strategies: [ring, ps-bsp]\nworkers: [1, 2, 4]\nsteps: 30\nlr: 0.5")
    assert [each.strategy for each in found.contestants] == ["ring", "ps-bsp"]
    assert found.settings["workers"] == (1, 2, 4)
    assert (found.settings["steps"], found.settings["lr"]) == ((30,), (0.5,))


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("hidden: 512,256", "hidden", ((512, 256),)),
        ('hidden: ["64", "512,256"]', "hidden", ((64,), (512, 256))),
        ("hidden: [64, [512, 256]]", "hidden", ((64,), (512, 256))),
        ("slow_worker: 3:4", "slow_worker", ("3:4",)),
        ('slow-worker: ["", "3:4"]', "slow_worker", ("", "3:4")),
        ("overlap: [on, off]", "overlap", ("on", "off")),
        ("bucket: [64KiB, 4MiB]", "bucket", (65536, 4 << 20)),
        ("servers: null", "servers", (None,)),
        ("train_seconds: 1e-2", "train_seconds", (0.01,)),
        ("workers: [2, 2, 4]", "workers", (2, 4)),
        ("data: clicks:rows=1000,skew=1", "data", ("clicks:rows=1000,skew=1",)),
    ],
)
def test_a_value_is_read_as_on_the_command_line_of_run(text, key, values):
    assert sweep(f"strategies: ps-bsp\n{text}").settings[key] == values


def test_settings_that_are_left_out_have_the_defaults_of_a_run():
    settings = sweep("strategies: ring").settings
    usual = RunOptions()
    assert {key: values for key, (values,) in settings.items()} == {key: getattr(usual, key) for key in settings}
    assert len(settings) > 25


def test_a_contestant_may_have_options_and_settings_of_its_own():
    found = sweep(
        "strategies: [ring, {name: ps-ssp, options: {staleness: [1, 3], sparse: 'off'}, servers: 2, train-seconds: 1}]"
    )
    assert found.contestants == (
        Contestant("ring"),
        Contestant("ps-ssp", {"staleness": (1, 3), "sparse": (False,)}, {"servers": (2,), "train_seconds": (1.0,)}),
    )


def test_flags_replace_the_settings_of_the_file():
    found = sweep("strategies: [ring]\nworkers: [1, 2]\nrepeats: 9", {"workers": ["4"], "repeats": "2"})
    assert (found.settings["workers"], found.repeats) == ((4,), 2)


def test_quick_uses_the_quick_block_of_the_file_and_flags_win():
    text = "strategies: [ring]\nworkers: [1, 2]\nsteps: 900\nquick: {workers: 2, steps: 10, repeats: 1}"
    found = sweep(text, quick=True)
    assert (found.settings["workers"], found.settings["steps"], found.repeats) == ((2,), (10,), 1)
    assert sweep(text, {"steps": ["7"]}, quick=True).settings["steps"] == (7,)
    assert sweep(text).settings["steps"] == (900,)


def test_quick_without_a_block_means_few_steps_and_repeats_and_never_more_than_before():
    assert sweep("strategies: ring", quick=True).settings["steps"] == (50,)
    assert sweep("strategies: ring", quick=True).repeats == 2
    short = sweep("strategies: ring\nsteps: [20, 30, 400]\nrepeats: 1", quick=True)
    assert (short.settings["steps"], short.repeats) == ((20, 30, 50), 1)


@pytest.mark.parametrize("name", sorted(ready()))
@pytest.mark.parametrize("quick", [False, True])
def test_a_sweep_written_out_is_the_same_sweep(name, quick):
    raw = load(ready()[name])
    found = read(raw, {}, quick=raw["quick"] if quick else None, name=name)
    assert read(yaml.load(found.to_yaml(), _Texts), {}) == found


@pytest.mark.parametrize("name", sorted(ready()))
def test_a_ready_sweep_says_its_question_and_can_be_planned_whole_and_quick(name):
    text = (READY / f"{name}.yaml").read_text()
    found = sweep(text)
    assert text.splitlines()[0] == f"# {found.question}"
    whole, quick = make_grid(found), make_grid(sweep(text, quick=True))
    assert whole.left_out == quick.left_out == []
    exact = found.settings["transport"] == ("virtual",) and all(found.settings["train_seconds"])
    assert found.repeats >= (1 if exact else 5)
    assert {"noop", "single"} < {cell.strategy for cell in quick.cells}
    assert len(quick.cells) <= len(whole.cells)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("strategies: [ring]\nwrkers: 2", "f.yaml: unknown key 'wrkers': did you mean workers"),
        ("stratgies: [ring]", "f.yaml: unknown key 'stratgies': did you mean strategies?"),
        ("strategies: [rnig]", "unknown strategy 'rnig': did you mean ring?"),
        ("strategies: [ring]\nworkers: two", "f.yaml: workers: 'two' is not a whole number"),
        ("strategies: [ring]\nworkers: [1, x]", "f.yaml: workers: 'x' is not a whole number"),
        ("strategies: [ring]\nworkers: []", "f.yaml: workers: the list is empty"),
        ("strategies: [ring]\nworkers:", "f.yaml: workers: '' is not a whole number"),
        ("strategies: [ring]\nworkers: {a: 1}", "f.yaml: workers: {'a': '1'} is not a whole number"),
        ("strategies: [ring]\nlr: fast", "f.yaml: lr: 'fast' is not a number"),
        ("strategies: [ring]\nbatch: many", "f.yaml: batch: 'many' is not a whole number or null"),
        ("strategies: [ring]\nhidden: [64, x]", "hidden: layer sizes are whole numbers with commas"),
        ("strategies: [ring]\nrepeats: 0", "f.yaml: repeats is 0: give a whole number from 1"),
        ("strategies: [ring]\nrepeats: often", "f.yaml: repeats: 'often' is not a whole number"),
        ("strategies: [ring]\nceiling: maybe", "f.yaml: ceiling: 'maybe' is not true or false"),
        ("strategies: [ring]\nname: a/b", "f.yaml: name is 'a/b': give letters"),
        ("workers: 2", "f.yaml: strategies: give at least one"),
        ("strategies: []", "f.yaml: strategies: give at least one"),
        ("strategies: {ring: 2}", "f.yaml: strategies: give a list"),
        ("strategies: [[ring]]", "f.yaml: strategies: ['ring'] is neither a name nor a mapping with a name"),
        ("strategies: [{nam: ring}]", "neither a name nor a mapping with a name"),
        ("strategies: [{name: ring, wrkers: 2}]", "strategies: ring: unknown key 'wrkers': did you mean workers"),
        ("strategies: [{name: ps-ssp, staleness: 3}]", "staleness is an option of ps-ssp: write options: {staleness: "),
        ("strategies: [{name: ps-ssp, options: {stalenes: 3}}]", "no option 'stalenes': did you mean staleness?"),
        ("strategies: [{name: ps-ssp, options: {staleness: []}}]", "options: staleness: the list is empty"),
        ("strategies: [{name: ps-ssp, options: 3}]", "options: give a mapping"),
        ("strategies: [ring]\nquick: 3", "f.yaml: quick: give settings"),
        ("strategies: [ring]\nquick: {stps: 3}", "f.yaml: quick: unknown key 'stps': did you mean steps"),
    ],
)
def test_a_mistake_is_one_line_that_helps(text, complaint):
    with pytest.raises(ConfigError) as caught:
        sweep(text, quick=True)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_ready_sweeps_are_those_that_are_promised():
    assert set(ready()) >= {"scaling", "incast", "size", "servers", "staleness", "straggler", "sparse"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("workers: [1", "line 1"),
        ("workers: 1\nsteps: 2\nworkers: 3", "line 3: 'workers' is given twice"),
        ("just text", "is no sweep file"),
        ("", "is no sweep file"),
        ("- ring", "is no sweep file"),
    ],
)
def test_a_file_that_is_no_sweep_says_where(tmp_path, text, complaint):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_no_sweep(tmp_path):
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="is no YAML"):
        load(tmp_path / "b.yaml")


def test_a_file_is_found_by_its_path_or_by_the_name_of_a_ready_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("strategies: [ring]")
    assert str(find("mine.yaml")) == "mine.yaml"
    assert find("scaling") == READY / "scaling.yaml"
    with pytest.raises(ConfigError, match=r"no such sweep file: mien\.yaml: did you mean mine\.yaml"):
        find("mien.yaml")
    with pytest.raises(ConfigError, match="did you mean scaling"):
        find("scalng")
    with pytest.raises(ConfigError, match="is a folder"):
        find(".")
    (tmp_path / "sweep.yaml").write_text("strategies: [ring]")
    with pytest.raises(ConfigError, match="go on with it with --resume"):
        find(".")
