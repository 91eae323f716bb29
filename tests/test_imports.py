"""Imports run one way, experiments → {ps, allreduce} → common, and heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Package -> the packages that it may import, besides itself.
LAYERS = {
    "common": set(),
    "ps": {"common"},
    "allreduce": {"common"},
    "experiments": {"common", "ps", "allreduce"},
}

# Library -> the only modules, or packages, that may import it.
HOMES = {
    "zmq": [
        "common.transport.sockets",
        "tests.test_sockets_endpoint",
        "tests.test_sockets_lifecycle",
        "tests.test_routed",
    ],
    "matplotlib": ["experiments.charts"],
    "mpi4py": ["allreduce.engines"],
    **{name: [] for name in ("pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")},
}

# Package -> library -> the only modules of that package that may import it, late as that may be.
AT_HOME = {"allreduce": {"torch": ["allreduce.engines"]}}

# Importing these loads numpy and nothing else that is not Python's own or ours.
LEAN = [
    "common/strategy.py",
    "common/context.py",
    "common/errors.py",
    "common/types.py",
    "common/place.py",
    "allreduce/*.py",
    "ps/shard.py",
]


def module_name(path):
    """`common/transport/wire.py` is the module `common.transport.wire`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source):
    """(line, module) of everything that a source imports, wherever in it; relative imports stay in their package."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=0):
                yield node.lineno, module
            case ast.Call(func=function, args=[ast.Constant(value=module), *_]):
                if ast.unparse(function).endswith(("import_module", "__import__")):
                    yield node.lineno, module


def inside(module, home):
    """Whether a module is `home` or in it."""
    return module == home or module.startswith(home + ".")


def violations(module, source):
    """What the source of a module imports against the rules: a line each."""
    own = module.partition(".")[0]
    for line, name in imported(source):
        top = name.partition(".")[0]
        if own in LAYERS and top in LAYERS and top not in LAYERS[own] | {own}:
            yield f"{module}:{line}: {own} must not import {name}"
        if top in HOMES and not any(inside(module, home) for home in HOMES[top]):
            homes = ", ".join(HOMES[top]) or "nowhere"
            yield f"{module}:{line}: {top} is imported in {homes} only"
        rooms = AT_HOME.get(own, {}).get(top)
        if rooms is not None and module not in rooms:
            yield f"{module}:{line}: in {own}, {top} is imported in {', '.join(rooms)} only"


SOURCES = [path for folder in [*LAYERS, "tests"] for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_module_imports_only_what_it_may(path):
    assert list(violations(module_name(path), path.read_text())) == []


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("common.context", "import ps", "common must not import ps"),
        ("common.context", "from allreduce.ring import ring", "common must not import allreduce.ring"),
        (
            "common.testing.checks",
            "def f():\n    import experiments.cli.main",
            "common must not import experiments.cli.main",
        ),
        ("ps.server", "from allreduce import chunks", "ps must not import allreduce"),
        ("allreduce.ring", "import common.errors, ps.shard", "allreduce must not import ps.shard"),
        ("ps.server", "import experiments", "ps must not import experiments"),
        ("ps.server", "importlib.import_module('allreduce')", "ps must not import allreduce"),
        ("ps.server", "if TYPE_CHECKING:\n    import allreduce", "ps must not import allreduce"),
        (
            "ps.server",
            "import zmq.asyncio",
            f"zmq is imported in {', '.join(HOMES['zmq'])} only",
        ),
        (
            "common.transports",
            "from zmq import Context",
            f"zmq is imported in {', '.join(HOMES['zmq'])} only",
        ),
        (
            "experiments.charts2",
            "import matplotlib.pyplot as plt",
            "matplotlib is imported in experiments.charts only",
        ),
        ("allreduce.ring", "def f():\n    import torch", "in allreduce, torch is imported in allreduce.engines only"),
        ("allreduce.ring", "from mpi4py import MPI", "mpi4py is imported in allreduce.engines only"),
        ("common.transport.wire", "import pickle", "pickle is imported in nowhere only"),
        ("tests.test_wire", "from pickle import loads", "pickle is imported in nowhere only"),
        ("tests.test_wire", "__import__('marshal')", "marshal is imported in nowhere only"),
    ],
)
def test_a_planted_import_is_found(module, source, found):
    (line,) = violations(module, source)
    assert line.startswith(f"{module}:")
    assert line.endswith(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("experiments.cli.main", "import ps.strategy, allreduce.ring, common"),
        ("allreduce.tree", "from allreduce.broadcast import broadcast\nfrom common import context"),
        ("ps.server", "from .shard import Shard\nfrom . import sharding"),
        ("common.transport.sockets.endpoint", "import zmq"),
        ("allreduce.engines", "def f():\n    import torch.distributed, mpi4py"),
        ("common.pipeline.train", "import torch"),
        ("experiments.run", "from common.transport import zmq"),
        ("experiments.charts", "from matplotlib import pyplot"),
        ("experiments.charts.layout", "import matplotlib"),
        ("tests.test_ring", "import ps, allreduce, experiments"),
        ("common.context", "import psutil, zmqlike"),
    ],
)
def test_an_import_that_is_allowed_passes(module, source):
    assert list(violations(module, source)) == []


# numpy is loaded first, for what it brings along is its own affair.
LOAD = """
import sys, numpy, numpy.random
before = set(sys.modules)
import {modules}
tops = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(tops - set(sys.stdlib_module_names) - {ours}))
"""


def loaded_with(modules):
    """The foreign libraries, but for numpy, that importing these modules in a fresh process loads."""
    code = LOAD.format(modules=", ".join(modules), ours={"numpy", *LAYERS})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.system
def test_contracts_and_algorithms_load_numpy_at_most():
    paths = [path for pattern in LEAN for path in sorted(ROOT.glob(pattern))]
    assert all(any(ROOT.glob(pattern)) for pattern in LEAN)
    assert loaded_with(map(module_name, paths)) == []


@pytest.mark.system
def test_a_module_that_loads_more_is_found():
    assert loaded_with(["common.transport.virtual.endpoint"]) == ["greenlet"]
