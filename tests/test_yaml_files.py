"""Sweep files: how they are found, and what is wrong with a file that is none."""

import pytest

from common.errors import ConfigError
from experiments.sweep.yaml_files import READY, find, load, ready


def test_the_ready_sweeps_are_those_that_are_promised():
    assert set(ready()) >= {"scaling", "incast", "size", "servers", "staleness", "straggler", "sparse"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("workers: [1", "line 1"),
        ("workers: 1\nsteps: 2\nworkers: 3", "line 3: 'workers' is given twice"),
        ("just text", "is no sweep file"),
        ("", "is no sweep file"),
        ("- ring", "is no sweep file"),
    ],
)
def test_a_file_that_is_no_sweep_says_where(tmp_path, text, complaint):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_no_sweep(tmp_path):
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="is no YAML"):
        load(tmp_path / "b.yaml")


def test_a_file_is_found_by_its_path_or_by_the_name_of_a_ready_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("strategies: [ring]")
    assert str(find("mine.yaml")) == "mine.yaml"
    assert find("scaling") == READY / "scaling.yaml"
    with pytest.raises(ConfigError, match=r"no such sweep file: mien\.yaml: did you mean mine\.yaml"):
        find("mien.yaml")
    with pytest.raises(ConfigError, match="did you mean scaling"):
        find("scalng")
    with pytest.raises(ConfigError, match="is a folder"):
        find(".")
    (tmp_path / "sweep.yaml").write_text("strategies: [ring]")
    with pytest.raises(ConfigError, match="go on with it with --resume"):
        find(".")
