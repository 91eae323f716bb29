"""Where nothing can be written: one clear line, no process, no temporary file."""

import contextlib
import os
import subprocess
import sys

import pytest
from runs import summary

from experiments.runs.run import Run
from system.leftovers import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def small_disk(box):
    """A file system of 128 KiB."""
    folder = box.folder / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder):
    """Leave no room in a folder's file system."""
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


@pytest.mark.parametrize("when", ["before the run", "in mid-run"])
def test_a_full_disk_ends_the_run_with_one_line(box, small_disk, when):
    if when == "before the run":
        fill(small_disk)
    done = box.run("run", "--workers", 2, "--steps", 100000, "--json", "--results", small_disk)
    assert done.code in (1, 2)
    assert done.errors == [done.complaint]
    assert "no space left on device" in done.complaint
    assert done.out == ""
    assert not list(small_disk.rglob("*.part"))
    if when == "in mid-run":
        (folder,) = small_disk.iterdir()
        assert [len(rows) > 3 for rows in Run(folder, summary()).worker_rows.values()] == [True, True]


def test_a_checkpoint_that_the_disk_has_no_room_for_ends_the_run_with_one_line(box, small_disk):
    words = ("--strategy", "ps-bsp", "--hidden", 512, "--checkpoint-every", 3, "--restarts", 1)
    done = box.run("run", "--workers", 2, "--steps", 100000, *words, "--json", "--results", small_disk)
    assert done.code == 1
    assert done.errors[0] == done.complaint
    assert "server rank 2" in done.complaint
    assert "a checkpoint cannot be written: No space left on device" in done.complaint
    assert not list(small_disk.rglob("*.part"))


def test_standard_output_that_is_full_is_an_error_not_a_silent_success(box):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "experiments", "list", "--json"],
            cwd=box.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "syncbench: [Errno 28] No space left on device\n"


def test_a_folder_for_temporary_files_that_is_too_long_for_sockets_is_refused_in_one_line(box):
    box.tmp = box.tmp / ("long" * 25)
    box.tmp.mkdir()
    done = box.run("run", "--results", "results")
    assert (done.code, done.out) == (2, "")
    assert done.errors == [done.complaint]
    assert "set TMPDIR to a short path" in done.complaint
    assert list(box.results.iterdir()) == []
