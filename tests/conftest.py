"""What holds for all tests, and the fixture that runs a command line."""

import signal

import extras
import pytest
from hypothesis import HealthCheck, settings

# Property tests give the same verdict on every machine, however slow: fixed examples, no time limit per example.
settings.register_profile("syncbench", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("syncbench")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("extras"):
        for name in mark.args:
            extras.require(name)


@pytest.fixture
def answer(capsys):
    """Run a command line in this process: (exit code, standard output, standard error)."""
    from experiments.cli.main import run

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run_it(*words):
        code = run([str(word) for word in words])
        return code, *capsys.readouterr()

    yield run_it
    for number, handler in before.items():
        signal.signal(number, handler)
