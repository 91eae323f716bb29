"""Ctrl-C and SIGTERM: the run ends promptly, says so in one line, and keeps what it has."""

import contextlib
import os
import signal

import psutil
import pytest

from experiments.runs.find import load_run
from system.leftovers import PROMPT, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ENDLESS = ("run", "--workers", 4, "--steps", 100000, "--results", "results")


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [
        pytest.param(os.killpg, signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(os.kill, signal.SIGINT, 130, id="SIGINT to the agent"),
        pytest.param(os.killpg, signal.SIGTERM, 143, id="SIGTERM to the group"),
        pytest.param(os.kill, signal.SIGTERM, 143, id="SIGTERM to the agent"),
    ],
)
def test_an_interrupted_run_ends_promptly_and_keeps_its_rows(box, send, number, code):
    agent = box.start(*ENDLESS)
    box.await_rows()
    send(agent.pid, number)
    done = box.end(PROMPT)
    summary = box.summary()

    assert done.code == code
    assert done.errors == ["syncbench: interrupted; all ranks have ended"]
    assert done.out == ""
    assert summary["status"] == "partial"
    assert summary["error"]["cause"] == "interrupted"
    assert summary["steps_done"] == min(map(len, load_run(box.result()).worker_rows.values())) >= 3


def test_impatience_changes_nothing(box):
    agent = box.start(*ENDLESS)
    box.await_rows()
    until(lambda: agent.poll() is not None or os.killpg(agent.pid, signal.SIGINT), box.processes, PROMPT)
    done = box.end(PROMPT)

    assert done.code == 130
    assert done.errors == ["syncbench: interrupted; all ranks have ended"]
    assert box.summary()["status"] == "partial"


def test_only_the_agent_answers_an_interrupt(box):
    agent = box.start("run", "--workers", 2, "--steps", 500, "--results", "results")

    def interrupt_the_others():
        for process in box.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid != agent.pid:
                    process.send_signal(signal.SIGINT)

    until(lambda: len(box.processes()) == 3, box.processes)  # the agent, its fork server, the resource tracker
    interrupt_the_others()
    box.await_rows()
    interrupt_the_others()
    assert (box.end().code, box.end().errors) == (0, [])


def test_an_interrupt_while_ranks_are_still_loading_is_answered_too(box):
    agent = box.start(*ENDLESS)
    until(lambda: len(box.processes()) == 3, box.processes)  # the agent, its fork server, the resource tracker
    os.killpg(agent.pid, signal.SIGINT)
    done = box.end(PROMPT)

    assert done.code == 130
    assert done.errors == ["syncbench: interrupted; all ranks have ended"]
    assert list(box.results.iterdir()) == []
