"""Progress goes to its stream alone: a picture on a terminal, a line now and then elsewhere."""

import dataclasses
import io
import math

import pytest
from rich.console import Console

from common.records.stage_clock import STAGES
from experiments.format.colours import STAGE_COLOURS
from experiments.runs.progress import LINE_EVERY, Progress, Status, picture, plain_line

SPENT = dict(zip(STAGES, (0.5, 0.0, 1.0, 4.5, 3.0, 1.0), strict=True))
STATUS = Status(step=120, samples_per_second=31_234.0, loss=0.1234, stage_seconds=SPENT, elapsed=3.21)
UNKNOWN = Status(step=0, samples_per_second=math.nan, loss=math.nan, stage_seconds={}, elapsed=4.2)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(status, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(picture("halving-doubling", 300, 4, status))
    return console.file.getvalue().splitlines()


def test_a_plain_line_says_step_speed_loss_and_stages_by_size():
    assert plain_line("ring", 300, STATUS) == (
        "ring  step 120/300  31.2k samples/s  loss 0.123  train 45% synchronize 30% load 10% update 10% preprocess 5%"
    )


def test_a_plain_line_leaves_out_what_is_unknown_and_says_that_the_run_is_starting():
    assert plain_line("ring", 300, UNKNOWN) == "ring  step 0/300  starting, 4 s"


def test_lines_are_at_least_two_seconds_apart_and_the_last_status_is_always_shown():
    out, now = io.StringIO(), [0.0]
    with Progress("ring", 300, 4, out, clock=lambda: now[0]) as progress:
        for step in range(50):
            now[0] = step * LINE_EVERY / 10
            progress.update(Status(step, 1.0, 1.0, SPENT, now[0]))
    steps = [int(line.split("step ")[1].split("/")[0]) for line in out.getvalue().splitlines()]
    assert steps == [10, 20, 30, 40, 49]


def test_a_short_run_has_one_line():
    out = io.StringIO()
    with Progress("ring", 300, 4, out, clock=lambda: 0.0) as progress:
        progress.update(UNKNOWN)
        progress.update(STATUS)
    assert out.getvalue() == plain_line("ring", 300, STATUS) + "\n"


def test_a_status_that_was_printed_is_not_printed_again_at_the_end():
    out, now = io.StringIO(), [0.0]
    with Progress("ring", 300, 4, out, clock=lambda: now[0]) as progress:
        now[0] = LINE_EVERY
        progress.update(STATUS)
        progress.update(dataclasses.replace(STATUS, elapsed=STATUS.elapsed + 0.1))  # done, and still ending
    assert out.getvalue().count("\n") == 1


def test_a_plain_stream_gets_no_control_characters_and_standard_output_gets_nothing(capsys):
    with Progress("ring", 300, 4, clock=lambda: 0.0) as progress:
        progress.update(STATUS)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert "step 120/300" in err


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_without_a_status_nothing_is_claimed(stream, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = stream()
    with Progress("ring", 300, 4, out):
        pass
    assert "step" not in out.getvalue()


def test_a_terminal_gets_the_picture_and_its_cursor_back_even_after_an_error(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()

    def fail():
        with Progress("ring", 300, 4, out) as progress:
            progress.update(STATUS)
            raise RuntimeError("the run failed")

    with pytest.raises(RuntimeError, match="the run failed"):
        fail()
    assert "step 120/300" in out.getvalue()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
    assert capsys.readouterr() == ("", "")


def test_standard_output_is_not_redirected_while_the_picture_is_shown(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with Progress("ring", 300, 4, out) as progress:
        progress.update(STATUS)
        print('{"json": true}')
    assert capsys.readouterr().out == '{"json": true}\n'
    assert "json" not in out.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    with Progress("ring", 300, 4, out) as progress:
        progress.update(STATUS)
    assert out.getvalue() == plain_line("ring", 300, STATUS) + "\n"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_stage_bar_is_as_wide_as_the_terminal_and_in_proportion(width):
    head, steps, stages, *legend = drawn(STATUS, width)
    assert len(head) <= width
    assert len(steps) == width
    assert stages == "█" * width
    assert "train 45%" in " ".join(legend)
    assert "partition" not in " ".join(legend)  # took no time


def test_each_stage_has_its_own_colour_in_the_bar():
    console = Console(file=io.StringIO(), width=80)
    segments = [segment for segment in console.render(picture("ring", 300, 4, STATUS)) if set(segment.text) == {"█"}]
    assert {segment.style.color.name.upper(): len(segment.text) for segment in segments} == {
        STAGE_COLOURS["preprocess"]: 4,
        STAGE_COLOURS["load"]: 8,
        STAGE_COLOURS["train"]: 36,
        STAGE_COLOURS["synchronize"]: 24,
        STAGE_COLOURS["update"]: 8,
    }


def test_an_update_outside_the_context_is_the_callers_mistake():
    progress = Progress("ring", 300, 4, io.StringIO())
    with pytest.raises(ValueError, match="outside its context"):
        progress.update(STATUS)
    with progress:
        pass
    with pytest.raises(ValueError, match="outside its context"):
        progress.update(STATUS)


def test_a_benchmark_says_which_block_it_measures():
    status = Status(3, elapsed=1.0, doing="ring over tcp, 64 KiB, repeat 2/5")
    assert plain_line("bench", 17, status) == "bench  step 3/17  ring over tcp, 64 KiB, repeat 2/5"
    head, bar = drawn(status, 120)
    assert head.startswith("halving-doubling, 4 workers  step 3/300  ring over tcp, 64 KiB, repeat 2/5")
    assert "━" in bar
