"""Sweeps to try things on: from the text of a file, run by something that only pretends."""

import json
import re
from itertools import count
from types import SimpleNamespace

import yaml

from common.errors import RunError
from experiments.runs.execute import RunFailed
from experiments.schema.records import JournalEntry
from experiments.sweep.grid import make_grid
from experiments.sweep.parse import _Texts, read, shortened


def sweep(text, flags=None, *, quick=False):
    """The sweep that a file with this text says."""
    raw = yaml.load(text, _Texts)
    return read(raw, flags or {}, quick=shortened(raw, "f.yaml: ") if quick else None, where="f.yaml: ", name="f")


def pretend(words, *, input="", **more):
    """In place of a process that measures a step of each job, and of git, which is asked for the commit."""
    jobs = json.loads(input) if input else ()
    return SimpleNamespace(returncode=0, stderr="", stdout=json.dumps([(0.01, 4 << 20) for _ in jobs]))


def entry(cell, repeat, folder="x", seconds=1.0):
    """The line of a journal for a run that ended well."""
    return JournalEntry(cell=cell, repeat=repeat, status="ok", folder=folder, error=None, seconds=seconds)


def grid(text):
    return make_grid(sweep(text))


def abouts(found):
    """The cells in words."""
    return [cell.about for cell in found.cells]


class Pretend:
    """Runs nothing: makes a run folder, and fails where `fails(cell)` says. Stops as if by Ctrl-C after `stop` runs."""

    def __init__(self, folder, *, fails=lambda cell: False, stop=None, interrupt=KeyboardInterrupt):
        self.folder, self.fails, self.stop, self.interrupt = folder, fails, stop, interrupt
        self.ran, self.titles = [], []

    def __call__(self, cell, title):
        slug = re.sub(r"\W", "-", cell.strategy)
        number = next(number for number in count() if not list(self.folder.glob(f"*-{number:06x}")))
        path = self.folder / f"20260102T030405Z-{slug}-w{cell.settings['workers']}-{number:06x}"
        (path / "ranks").mkdir(parents=True)
        if self.stop == len(self.ran):
            raise self.interrupt
        self.ran.append(cell.id)
        self.titles.append(title)
        (path / "summary.json").write_text("{}")
        run = SimpleNamespace(path=path, summary={})
        if self.fails(cell):
            raise RunFailed(run, RunError("no luck", rank=1, role="worker", stage="train", step=3), None)
        return run
