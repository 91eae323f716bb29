"""Bad usage: exit code 2, one line that helps, nothing on standard output, nothing started, no folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs import write_run

from experiments.cli import demo
from experiments.cli import run as run_verb
from experiments.cli.main import VERBS, run
from experiments.config.strategies import BUILTIN

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A current folder of one's own, and no trace of the command line in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    modules = set(sys.modules)
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_"):
            del sys.modules[name]


@pytest.fixture
def refused(answer, monkeypatch):
    """Run a command line that is bad usage; returns the line that says so."""

    def start(plans, results):
        raise AssertionError("something was started")

    for verb in (run_verb, demo):
        monkeypatch.setattr(verb, "execute_all", start)

    def run_it(*words):
        code, out, err = answer(*words)
        assert (code, out) == (2, "")
        assert err.startswith("syncbench: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert not Path("results").exists()
        return err

    return run_it


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            "compare",
            "syncbench: compare: give result folders, folders of them, sweeps, or patterns; see syncbench comp",
        ),
        ("trace", "syncbench: trace: give the result folder of a run; see syncbench trace --help"),
        ("run --strategy rnig", "unknown strategy 'rnig': did you mean ring?"),
        (
            "run --strategy xyz",
            f"unknown strategy 'xyz': known: {', '.join(sorted(BUILTIN))}",
        ),
        ("run --model mpl", "--model is 'mpl': did you mean mlp?"),
        ("run --data digit", "unknown data set 'digit': did you mean digits?"),
        ("rnu", "unknown verb 'rnu': did you mean run?"),
        ("run --wrkers 3", "unknown option --wrkers: did you mean --workers"),
        ("run --worker 3", "unknown option --worker: did you mean --workers"),
        ("run --worker=3", "unknown option --worker: did you mean --workers"),
        ("compare x --markdwn", "unknown option --markdwn: did you mean --markdown?"),
        ("list --jsn", "unknown option --jsn: did you mean --json?"),
        ("--jsn", "unknown option --jsn: did you mean --json?"),
        ("run extra", "extra"),
        ("env extra", "extra"),
        ("run --workers 0", "--workers is 0"),
        ("run --workers -2", "--workers is -2"),
        ("run --workers 1.5", "--workers: '1.5' is not a whole number"),
        ("run --workers two", "--workers: 'two' is not a whole number"),
        ("run --workers 2000", "at most"),
        ("run --workers 4 --batch 10", "--batch 10 does not divide among 4 workers: 8 or 12 does"),
        ("run --batch 1.5", "--batch: '1.5' is not a whole number"),
        ("run --lr abc", "--lr: 'abc' is not a number"),
        ("run --lr nan", "--lr"),
        ("run --lr inf", "--lr"),
        ("run --lr 0", "--lr is 0"),
        ("run --lr -1", "--lr is -1"),
        ("run --lr=-inf", "--lr"),
        ("run --steps 0", "--steps is 0"),
        ("run --steps", "--steps: expected one argument"),
        ("run --deadline -1", "--deadline is -1"),
        ("run --deadline never", "--deadline: 'never' is not a number"),
        ("run --hidden junk", "--hidden: layer sizes are whole numbers with commas, like 256,128; not 'junk'"),
        ("run --bucket junk", "--bucket: a size is a whole number and a unit, like 4MiB or 64KiB; not 'junk'"),
        ("run --bucket 2", "--bucket is 2: give 4 bytes"),
        ("run --overlap maybe", "--overlap is 'maybe': give auto, on or off"),
        ("run --hidden 0", "--hidden is (0,): give at least one layer"),
        ("run --strategy ring --servers 2", "strategy 'ring' has no servers"),
        ("run --strategy ps-bsp --servers 0", "--servers is 0"),
        ("run --strategy ps-bsp --servers x", "--servers: 'x' is not a whole number"),
        ("run --transport tcp --interface 0.0.0.0", "loopback only"),
        ("run --strategy not_there_at_all:Mine", "the module does not exist"),
        ("run --strategy json:loads", "no subclass of syncbench.SyncStrategy"),
        ("run --strategy common.strategy:SyncStrategy", "does not define synchronize"),
        ("run --strategy ps-bsp --strategy.staleness 3", "'ps-bsp' has no option --strategy.staleness"),
        ("run --strategy.every", "--strategy.every needs a value"),
        ("run --strategy.every --json", "--strategy.every needs a value"),
        ("run --strategy.every [1", "--strategy.every: '[1' is no YAML value"),
        ("demo --strategy.every 3", "--strategy.every belongs to the verb run"),
        ("list --strategy.every 3", "--strategy.every belongs to the verb run"),
        ("demo --steps 0", "--steps is 0"),
        ("bench --strategies rnig", "unknown strategy 'rnig': did you mean ring?"),
        ("bench --strategies noop", "'noop' cannot be benched"),
        ("bench --sizes big", "not 'big'"),
        ("bench --sizes 4KiB,6", "give a multiple of 4"),
        ("bench --workers 1", "--workers is 1"),
        ("bench --repeats x", "--repeats: 'x' is not a whole number"),
        ("bench --transport udp", "--transport is 'udp'"),
        ("bench --baseline star --strategies ring", "--baseline star is not among the strategies: ring"),
        ("bench --wrkers 3", "unknown option --wrkers: did you mean --workers"),
        ("bench --strategy.every 3", "--strategy.every belongs to the verb run"),
        ("run --config not-there.yaml", "not-there.yaml"),
        ("run --config .", "--config"),
        ("compare not-there", "no such run folder: not-there"),
        ("compare .", "no complete run in ."),
        ("plot not-there", "no such run folder: not-there"),
    ],
)
def test_bad_usage_is_one_line_that_helps(refused, words, complaint):
    assert complaint in refused(*words.split())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lr: [1", "config"),
        ("just text", "config"),
        ("strategy: rnig", "unknown strategy 'rnig': did you mean ring?"),
        ("strategy: 3", "--strategy: 3 is not text"),
        ("wrkers: 3", "unknown option wrkers: did you mean --workers"),
        ("lr: abc", "--lr: 'abc' is not a number"),
        ("lr: .nan", "--lr is nan"),
        ("hidden: [64, x]", "--hidden: layer sizes are whole numbers"),
        ("strategy_options: 3", "--strategy_options: 3 is not a mapping"),
        ("strategy_options: {every: 3}", "has no option --strategy.every"),
        ("\0", "config"),
        (b"\xff\xfe", "utf-8"),
    ],
)
def test_a_bad_configuration_file_is_refused_in_one_line(here, refused, text, complaint):
    (here / "run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert complaint in refused("run", "--config", "run.yaml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(:", "SyntaxError"),
        ("import not_installed_at_all", "No module named 'not_installed_at_all'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("Mine = 3", "Mine is no subclass"),
        ("", "it defines no strategy"),
    ],
)
def test_a_mistake_in_the_users_strategy_is_refused_in_one_line(here, refused, text, complaint):
    (here / "plugin_for_cli.py").write_text(text)
    assert complaint in refused("run", "--strategy", "plugin_for_cli:Mine")


@pytest.mark.parametrize("below", ["", "/below"])
def test_a_folder_for_results_that_cannot_be_written_is_refused(here, refused, below):
    (here / "file").write_text("mine")
    assert "results cannot be written to" in refused("run", "--results", f"file{below}")
    assert "results cannot be written to" in refused("demo", "--results", f"file{below}")
    assert (here / "file").read_text() == "mine"


def test_a_half_written_run_is_refused(here, refused):
    folder = write_run(here, "ring")
    (folder / "summary.json").unlink()
    for verb in ("compare", "plot"):
        assert "half-written run" in refused(verb, folder)
        assert "no complete run in" in refused(verb, folder.parent)


def test_plots_that_cannot_be_written_are_refused(here, refused):
    (here / "file").write_text("mine")
    said = refused("plot", write_run(here, "ring"), "--out", "file/below")
    assert "cannot be written to" in said
    assert said.endswith("; give another --out folder\n")


def test_options_of_a_strategy_are_read_as_yaml_and_win_over_the_configuration_file(here, monkeypatch, answer):
    (here / "plugin_for_cli.py").write_text(
        "from allreduce.ring import Ring\n"
        "class Mine(Ring):\n"
        "    def __init__(self, every_n=0, rate=0.0, name='', flag=False): pass"
    )
    (here / "run.yaml").write_text(
        "strategy: plugin_for_cli:Mine\nworkers: 2\nstrategy_options: {every_n: 1, rate: 2}\n"
        "overlap: off\nbucket: 64KiB"
    )
    planned = []
    monkeypatch.setattr(run_verb, "execute_all", lambda plans, results: planned.extend(plans) or exit_early())

    class Enough(Exception):
        pass

    def exit_early():
        raise Enough

    words = "--config run.yaml --strategy.every-n 8 --strategy.name=x --strategy.flag true --lr 1e-3 --hidden 8,4"
    with pytest.raises(Enough):
        answer("run", *words.split())
    (job,) = (plan.job for plan in planned)
    assert job.strategy_options == {"every_n": 8, "rate": 2, "name": "x", "flag": True}
    assert (job.workers, job.optimizer.lr, job.hidden) == (2, 1e-3, (8, 4))
    assert (job.overlap, job.bucket) == ("off", 64 << 10)


def test_without_a_verb_the_help_is_shown_as_bad_usage(answer):
    code, out, _ = answer()
    assert code == 2
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("words", [("--help",), *((verb, "--help") for verb in VERBS)], ids=" ".join)
def test_help_is_on_standard_output(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run([*words])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert "usage: syncbench" in out
    assert err == ""


@pytest.mark.system
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("words", "code"),
    [("--help", 0), ("run --help", 0), ("list", 0), ("list --json", 0), ("run --strategy rnig", 2), ("rnu", 2)],
)
def test_quick_answers_import_no_heavy_library(words, code):
    command = [sys.executable, "-X", "importtime", "-m", "experiments", *words.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "experiments" in loaded
    assert loaded & {"torch", "sklearn", "scipy", "pandas", "matplotlib", "zmq", "greenlet", "rich"} == set()
