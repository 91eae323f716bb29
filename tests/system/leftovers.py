"""The command line in a world of its own, and the check that it leaves nothing behind there.

Every command gets a private TMPDIR, where all its temporary files go, and a mark in its environment that tells its
processes from everybody else's, orphans too.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
START = 60.0  # seconds that a command may take until its ranks train, or to end by itself
PROMPT = 5.0  # seconds in which everything has ended once something has gone wrong: the promise
MARK = "SYNCBENCH_TEST_BOX"
# Commands have sessions of their own, so Ctrl-C does not reach them: they end with the tests that started them.
SETPRIV = shutil.which("setpriv")  # before a test changes PATH
TETHER = [SETPRIV, "--pdeathsig", "KILL"] if SETPRIV else []


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        """Standard error without the progress."""
        return [line for line in self.err.splitlines() if "  step " not in line]

    @property
    def complaint(self):
        """The one line that says what went wrong."""
        (line,) = (line for line in self.errors if line.startswith("syncbench: "))
        return line

    def json(self):
        """The document that is all of standard output."""
        return parse(self.out)


def parse(text):
    """Strict JSON: NaN and Infinity are none."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def until(found, what, seconds=START):
    """Poll until `found()` is true, and return it; AssertionError after `seconds`, with what `what()` says."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"waited {seconds:g} s: {what()}"
        time.sleep(0.02)
    return value


class Box:
    """A context manager: a private folder for results, modules and temporary files, and the commands that run there."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sbt-", dir="/tmp"))  # short: a socket's path has 107 bytes
        self.tmp = self.folder / "t"
        self.tmp.mkdir()
        self.results = self.folder / "results"
        self.commands = []
        return self

    def __exit__(self, kind, error, trace):
        try:
            if error is None:
                self.assert_nothing_left()
        finally:
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for command in self.commands:
                command.wait(PROMPT)
            shutil.rmtree(self.folder, ignore_errors=True)

    # Commands.

    def start(self, *words):
        """Start `syncbench <words>` in a process group of its own, in this folder."""
        number = len(self.commands)
        with open(self.folder / f"out-{number}", "w") as out, open(self.folder / f"err-{number}", "w") as err:
            command = subprocess.Popen(
                [*TETHER, sys.executable, "-m", "experiments", *map(str, words)],
                cwd=self.folder,
                env={**os.environ, "TMPDIR": str(self.tmp), "PYTHONPATH": str(ROOT), MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.commands.append(command)
        return command

    def end(self, seconds=START):
        """Wait until the last command ends, and return how; AssertionError after `seconds`."""
        number, command = len(self.commands) - 1, self.commands[-1]
        try:
            code = command.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds:g} s: {self.stderr()}") from None
        return Done(code, (self.folder / f"out-{number}").read_text(), self.stderr())

    def stderr(self):
        """What the last command has said on standard error so far."""
        return (self.folder / f"err-{len(self.commands) - 1}").read_text()

    def run(self, *words, seconds=START):
        """Start a command and wait for its end."""
        self.start(*words)
        return self.end(seconds)

    def module(self, name, text):
        """Put a module into the folder where commands run."""
        (self.folder / f"{name}.py").write_text(text)

    # Its processes.

    def processes(self):
        """Every process of this box that is there, orphans too."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(MARK) == str(self.folder)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def rank(self, rank, role="worker"):
        """The process of a rank, once it is there: the one that has the rank's record open."""
        return until(lambda: self._rank(rank, role), lambda: f"no process of {role} rank {rank}: {self.stderr()}")

    def _rank(self, rank, role):
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if any(Path(file.path).name == f"{rank}-{role}.jsonl" for file in process.open_files()):
                    return process
        return None

    def await_rows(self, rank=0, role="worker", rows=5):
        """Wait until a rank has recorded so many steps."""

        def recorded():
            assert self.commands[-1].poll() is None, f"ended too early: {self.stderr()}"
            files = self.results.glob(f"*/ranks/{rank}-{role}.jsonl")
            return any(file.read_bytes().count(b"\n") >= rows for file in files)

        until(recorded, lambda: f"{rows} rows of {role} rank {rank}: {self.stderr()}")

    def strike(self, rank, role="worker", number=signal.SIGKILL):
        """Send a signal to a rank in mid-run; returns its process."""
        self.await_rows(rank, role)
        process = self.rank(rank, role)
        process.send_signal(number)
        return process

    # What it leaves.

    def result(self):
        """The only result folder."""
        (folder,) = self.results.iterdir()
        return folder

    def summary(self):
        """The summary in the only result folder."""
        return parse((self.result() / "summary.json").read_text())

    def assert_nothing_left(self):
        """No process, and no temporary file, be it multiprocessing's or torch's. Polls."""
        until(lambda: not self.processes(), lambda: f"processes left: {self.processes()}", PROMPT)
        until(lambda: not list(self.tmp.iterdir()), lambda: f"files left: {list(self.tmp.rglob('*'))}", PROMPT)
