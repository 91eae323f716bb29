"""What some tests need beyond the extra [dev]. A test marked `extras("mpi")` is skipped on a machine without it."""

import importlib.util
import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DEMANDED = "SYNCBENCH_TEST_EXTRAS"  # names, with blanks between them, of which no test may be skipped; for `.ci/run`


def browser():
    """The command of the browser; None without one."""
    return next(filter(shutil.which, BROWSERS), None)


def missing(name):
    """What has to be installed for the tests marked `extras(name)`; None if all of it is there."""
    module, command, install = {
        "mpi": ("mpi4py", shutil.which("mpirun"), "Open MPI (apt-get install openmpi-bin), mpi4py (the extra [mpi])"),
        "tensorboard": ("tensorboard", True, "TensorBoard (the extra [tensorboard])"),
        "browser": (None, browser(), "a browser (apt-get install chromium)"),
    }[name]
    there = command and (module is None or importlib.util.find_spec(module) is not None)
    return None if there else f"needs {install}"


def require(name):
    """Skip the test that calls this if `name` is missing, or fail it if `name` is demanded."""
    if (why := missing(name)) is None:
        return
    if name in os.environ.get(DEMANDED, "").split():
        pytest.fail(f"{why}, and {DEMANDED} demands it", pytrace=False)
    pytest.skip(why)
