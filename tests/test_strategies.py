"""Strategies are found by name, by entry point and as module:Class; what is no strategy is refused in one line."""

import sys
from importlib.metadata import EntryPoint

import pytest

from allreduce.ring import Ring
from common.errors import ConfigError
from experiments.config import strategies
from experiments.config.strategies import BUILTIN, create, create_call, known, parse_call, split_calls, strategy_class

FINE = "from allreduce.ring import Ring\nclass Mine(Ring):\n    "


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module into the current folder; returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text, name="plugin_under_test"):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def plugins(monkeypatch):
    """Install entry points: name -> module:Class."""

    def install(**points):
        group = strategies.GROUP
        found = [EntryPoint(name, target, group) for name, target in points.items()]
        monkeypatch.setattr(strategies, "entry_points", lambda group: found if group == strategies.GROUP else [])

    return install


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_strategy_is_one_and_says_what_it_is_in_a_line(name):
    cls = strategy_class(name)
    assert cls.__doc__.strip().split("\n")[0].endswith(".")
    assert f"{cls.__module__}:{cls.__name__}" == BUILTIN[name]
    assert isinstance(create(name, {}), cls)


def test_a_module_in_the_current_folder_is_found(module):
    name = module(FINE + "pass")
    assert strategy_class(f"{name}:Mine").__module__ == name


def test_a_class_inside_a_class_is_found(module):
    name = module("from allreduce.ring import Ring\nclass Outer:\n    class Mine(Ring): pass")
    assert issubclass(strategy_class(f"{name}:Outer.Mine"), Ring)


def test_an_installed_plug_in_is_known_by_its_name(plugins, module):
    plugins(mine=f"{module(FINE + 'pass')}:Mine")
    assert set(known()) == {*BUILTIN, "mine"}
    assert strategy_class("mine").__name__ == "Mine"


def test_a_plug_in_may_ask_for_extras(plugins):
    plugins(mine="allreduce.ring:Ring [gpu]")
    assert strategy_class("mine") is Ring


def test_a_plug_in_does_not_take_the_name_of_a_built_in_strategy(plugins):
    plugins(star="allreduce.ring:Ring")
    assert strategy_class("star").__name__ == "Star"


def test_a_broken_plug_in_is_refused_by_its_name(plugins):
    plugins(broken="not_installed_at_all:Strategy")
    with pytest.raises(ConfigError, match="strategy 'broken': the module does not exist"):
        strategy_class("broken")


def test_near_names_of_plug_ins_are_suggested_too(plugins):
    plugins(gossip="allreduce.ring:Ring")
    with pytest.raises(ConfigError, match="unknown strategy 'gosip': did you mean gossip"):
        strategy_class("gosip")


@pytest.mark.parametrize("name", ["module:", ":Class", ":", " : ", "a b:Class", "module:a b", "module:Class:", "a/b:C"])
def test_what_looks_like_neither_name_nor_module_and_class_is_refused(name):
    with pytest.raises(ConfigError, match="is not of the form module:name"):
        strategy_class(name)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("not_there_at_all:Mine", "the module does not exist"),
        ("allreduce.not_there:Mine", "the module does not exist"),
        ("allreduce.ring.Ring:Mine", "the module does not exist"),
        (".relative:Mine", "importing it failed"),
        ("allreduce.ring:Rnig", "module allreduce.ring has no Rnig; did you mean Ring?"),
        ("json:Mine", "module json has no Mine; it defines no strategy"),
        ("json:loads", "loads is no subclass of syncbench.SyncStrategy"),
        ("json:JSONDecoder", "JSONDecoder is no subclass of syncbench.SyncStrategy"),
        ("common.strategy:SyncStrategy", "SyncStrategy does not define synchronize"),
        ("allreduce.strategy:AllReduce", "AllReduce does not define all_reduce"),
    ],
)
def test_what_is_no_strategy_is_refused_with_the_reason(target, complaint):
    with pytest.raises(ConfigError) as refused:
        strategy_class(target)
    assert str(refused.value).startswith(f"strategy {target!r}: ")
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(:", "importing it failed: SyntaxError"),
        ("1 / 0", "importing it failed: ZeroDivisionError: division by zero"),
        ("import not_installed_at_all", "No module named 'not_installed_at_all'"),
        ("import json\njson.not_there", "importing it failed: AttributeError"),
        ("import sys\nsys.exit(0)", "importing it failed: SystemExit: 0"),
        (FINE + "traits = None", "the traits of Mine are no syncbench.Traits"),
    ],
)
def test_a_module_with_a_mistake_is_refused_with_what_is_wrong(module, text, complaint):
    name = module(text)
    with pytest.raises(ConfigError) as refused:
        strategy_class(f"{name}:Mine")
    assert complaint in str(refused.value)


def test_options_reach_the_strategy(module):
    name = module(FINE + "def __init__(self, every: int, how='much'): self.given = every, how")
    assert create(f"{name}:Mine", {"every": 8}).given == (8, "much")


@pytest.mark.parametrize(
    ("init", "options", "complaint"),
    [
        ("pass", {"every": 8}, "has no option --strategy.every: it has no options"),
        ("def __init__(self, every=1): pass", {"evry": 8}, "--strategy.evry: did you mean every?"),
        ("def __init__(self, every): pass", {}, "missing 1 required positional argument: 'every'"),
        ("def __init__(self): raise ValueError('must be even')", {}, ": must be even"),
        ("def __init__(self): raise RuntimeError('no luck')", {}, ": RuntimeError: no luck"),
    ],
)
def test_options_that_a_strategy_does_not_take_are_refused(module, init, options, complaint):
    name = module(FINE + init)
    with pytest.raises(ConfigError) as refused:
        create(f"{name}:Mine", options)
    assert str(refused.value).startswith(f"strategy '{name}:Mine'")
    assert complaint in str(refused.value)


def test_what_a_strategy_itself_says_of_an_option_is_said_in_its_words():
    with pytest.raises(ConfigError) as refused:
        create("ps-ssp", {"staleness": -1})
    assert str(refused.value) == "strategy 'ps-ssp': --strategy.staleness is -1: give a whole number from 0"


def test_what_a_strategy_prints_while_it_is_made_stays_out_of_standard_output(module, capsys):
    name = module("print('import')\n" + FINE + "def __init__(self): print('init')")
    create(f"{name}:Mine", {})
    assert capsys.readouterr() == ("", "import\ninit\n")


# --- calls: several strategies in one line, each with its options ---


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", []),
        ("ring", ["ring"]),
        (" ring , tree,", ["ring", "tree"]),
        ("a(b=1, c = 2),my.mod:Cls(d=x) ,ring", ["a(b=1,c=2)", "my.mod:Cls(d=x)", "ring"]),
        ("a(b=1,c", ["a(b=1", "c"]),  # neither is one, as parse_call says
    ],
)
def test_calls_are_parted_by_commas_outside_brackets(text, calls):
    assert split_calls(text) == calls


@pytest.mark.parametrize(
    ("call", "name", "options"),
    [
        ("ring", "ring", {}),
        ("ring()", "ring", {}),
        ("my.mod:Cls(a=1,b=2.5,c=true,d=hashed)", "my.mod:Cls", {"a": 1, "b": 2.5, "c": True, "d": "hashed"}),
    ],
)
def test_a_call_is_a_name_and_options_of_their_types(call, name, options):
    assert parse_call(call) == (name, options)


@pytest.mark.parametrize(
    "call", ["ring(", "ring)", "ring(a)", "ring(a=)", "ring(=1)", "ring(a=(1))", "ring(a=1)b", "(a=1)"]
)
def test_what_is_no_call_is_refused_with_what_one_looks_like(call):
    with pytest.raises(ConfigError, match=r"is no strategy with options: give it as name\(option=value,option=value\)"):
        parse_call(call)


def test_an_option_that_is_no_yaml_is_refused():
    with pytest.raises(ConfigError, match="the value of an option is no YAML"):
        parse_call("ring(a=[1)")


def test_a_call_makes_the_strategy_with_its_options():
    assert create_call("ps-ssp(staleness=7,segment=4096)").segment == 4096
    assert create_call("ps-ssp(staleness=7)").traits.consistency == "ssp(7)"
