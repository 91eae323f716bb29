"""Describe what a result depends on besides its configuration: machine, versions, threads."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from experiments.schema.documents import Environment

PACKAGES = ("syncbench", "torch", "numpy", "pyzmq", "scikit-learn", "greenlet", "mpi4py")


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(
    threads: int = 1, transport: str | tuple[str, ...] | None = None, link: str | None = None
) -> Environment:
    """Return the environment of this process, for ranks with `threads` threads on this transport and link."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu(),
        cores=cores(),
        memory_bytes=physical_memory(),
        threads_per_rank=threads,
        hosts=1,
        commit=_commit(),
        versions={name: _version(name) for name in PACKAGES},
        transport=transport,
        link=link,
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def physical_memory() -> int | None:
    """Return the bytes of this machine's memory; None if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the checkout, with + if files were changed; None outside of a checkout."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
