"""The guardian of a rank under mpirun tells how the rank ends, and ends with it."""

import os
import select
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from system.leftovers import ROOT

from experiments.launch.mpirun import exit_path
from experiments.launch.processes import LOST

ENTRY = """
import os, sys

def main(home, rank):
    assert rank == 0
    {life}
"""


@pytest.fixture
def guardian(tmp_path):
    """Start a guardian whose rank lives the life given; the sentinel of its fifo, and its process."""
    os.mkfifo(exit_path(tmp_path, 0))
    ear = os.open(exit_path(tmp_path, 0), os.O_RDONLY | os.O_NONBLOCK)
    shared = tmp_path / "shared"
    shared.mkdir()
    started = []

    def start(life, *before):
        (tmp_path / "entry.py").write_text(ENTRY.format(life=life))
        command = [
            *before,
            sys.executable,
            "-m",
            "experiments.launch.mpirun_guard",
            "entry",
            str(tmp_path),
            str(shared),
        ]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "OMPI_COMM_WORLD_RANK": "0"}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
        return SimpleNamespace(process=started[0], ear=ear, shared=shared)

    yield start
    for process in started:
        process.kill()
        process.communicate()
    os.close(ear)


def hear(guardian):
    """What the guardian tells. Blocks."""
    assert select.select([guardian.ear], [], [], 30)[0]
    return int(os.read(guardian.ear, 16))


def test_the_guardian_of_a_rank_that_ends_well_goes_with_it(guardian):
    one = guardian("sys.exit(0)")
    assert hear(one) == 0
    assert one.process.wait(30) == 0
    assert not one.shared.exists()


@pytest.mark.parametrize(
    ("life", "code"),
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -9), ("os._exit(7)", 7), ("sys.exit('a word')", 1), ("1 / 0", 1)],
)
def test_the_guardian_of_a_rank_that_ends_badly_stays_until_it_is_dismissed(guardian, life, code):
    one = guardian(life)
    assert hear(one) == code
    assert one.process.poll() is None
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(30) == 1
    assert not one.shared.exists()


def test_a_guardian_that_is_asked_to_end_ends_its_rank(guardian):
    one = guardian("os.write(2, b'here'); import time; time.sleep(600)")
    assert one.process.stderr.read(4) == b"here"
    one.process.send_signal(signal.SIGTERM)
    assert hear(one) == LOST
    assert one.process.wait(30) == 1


def test_a_rank_whose_guardian_is_killed_ends(guardian):
    one = guardian("os.write(2, b'here'); import time; time.sleep(600)")
    assert one.process.stderr.read(4) == b"here"
    one.process.kill()
    assert one.process.stderr.read() == b""  # the rank's end is closed too
