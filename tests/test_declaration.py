"""Options are declared once: parsers, YAML values, checks and --help follow the field."""

from dataclasses import dataclass

import pytest

from common.errors import ConfigError
from experiments.config import RunOptions
from experiments.config.argument_parser import parse
from experiments.config.checks import at_least, sizes
from experiments.config.declaration import REQUIRED, check_options, declared, made_from, option


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Shared options"""

    seats: int = option(4, "seats in a row", check=at_least(1))
    colour: str = option("red", "one of {choices}", choices=("red", "green"))


@dataclass(frozen=True, kw_only=True)
class Options(Shared):
    """Build a cinema."""

    HIDDEN = ()

    name: str = option(REQUIRED, "the name of the cinema", positional=True)
    seconds_open: float | None = option(None, "time that it is open", unit="SECONDS")
    rows: tuple[int, ...] = option((3, 4), "seats by row", read=sizes)
    open_air: bool = option(False, "without a roof")
    internal: int = 7


@dataclass(frozen=True, kw_only=True)
class FewOptions(Options):
    """Build a cinema with the usual seats."""

    HIDDEN = (Shared,)


def read(*words, kind=Options):
    return parse(kind, words, "program build")


def test_a_command_line_becomes_a_dataclass_with_values_of_the_declared_types():
    assert read("Rex") == Options(name="Rex")
    words = ("Rex", "--seats", "2", "--seconds-open", "1e3", "--rows", "5,6", "--open-air", "--colour", "green")
    assert read(*words) == Options(name="Rex", seats=2, seconds_open=1000.0, rows=(5, 6), open_air=True, colour="green")
    assert read("Rex", "--seconds-open", "null") == Options(name="Rex")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "program build: give the name of the cinema; see program build --help"),
        (("Rex", "Lux"), "'Lux' is one word too many"),
        (("Rex", "--seats", "two"), "--seats: 'two' is not a whole number"),
        (("Rex", "--seats", "0"), "--seats is 0: give a whole number from 1"),
        (("Rex", "--seconds-open", "long"), "--seconds-open: 'long' is not a number or null"),
        (("Rex", "--colour", "gren"), "--colour is 'gren': did you mean green?"),
        (("Rex", "--colour", "xyz"), "--colour is 'xyz': give red or green"),
        (("Rex", "--rows", "x"), "--rows: layer sizes are whole numbers with commas, like 256,128; not 'x'"),
        (("Rex", "--seat", "2"), "unknown option --seat: did you mean --seats?"),
        (("Rex", "--internal", "2"), "unknown option --internal: did you mean --open-air"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(words, complaint):
    with pytest.raises(ConfigError) as refused:
        read(*words)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


def test_null_in_a_file_is_refused_in_plain_words_also_where_an_option_has_a_reader_of_its_own():
    with pytest.raises(ConfigError, match=r"^overlap: None is not text$"):
        declared(RunOptions)["overlap"].value(None, "overlap")


def test_help_is_made_from_the_declarations(capsys):
    with pytest.raises(SystemExit):
        read("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "Build a cinema." in said
    assert "Shared options: --seats SEATS seats in a row (type: int, default: 4)" in said
    assert "one of red, green" in said
    assert "--seconds-open SECONDS time that it is open (type: float | null, default: null)" in said


def test_a_verb_can_hide_the_options_of_a_class():
    assert read("Rex", kind=FewOptions).seats == 4
    with pytest.raises(ConfigError, match="unknown option --seats"):
        read("Rex", "--seats", "2", kind=FewOptions)


def test_values_from_python_are_checked_as_those_of_the_command_line():
    with pytest.raises(ConfigError, match="--seats is 0: give a whole number from 1"):
        check_options(Options(name="Rex", seats=0))


def test_a_dataclass_takes_its_values_from_another_one():
    assert made_from(Shared, Options(name="Rex", seats=9), colour="green") == Shared(seats=9, colour="green")


def test_every_option_of_a_run_has_a_help_text_and_accepts_its_own_default():
    options = declared(RunOptions)
    assert len(options) > 30
    for name, about in options.items():
        assert about.help
        assert about.value(about.default, name) == about.default
        about.verify(about.default, name)
