"""Folders for results."""

import pytest

from common.errors import ConfigError
from experiments.runs.files import new_folder, writable_folder


def test_every_new_folder_has_a_name_of_its_own(tmp_path):
    assert len({new_folder(tmp_path, "ring-w4") for _ in range(50)}) == 50


def test_the_folder_for_results_is_made_and_nothing_is_left_in_it(tmp_path):
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert list(folder.iterdir()) == []
    assert writable_folder(folder) == folder


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_file_in_the_way_of_the_folder_for_results_is_refused(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ConfigError, match=f"results cannot be written to {file}.*; give another --results folder"):
        writable_folder(file / below)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("nothing", ["", None])
def test_an_empty_name_is_no_folder(nothing):
    with pytest.raises(ConfigError, match="--results is empty"):
        writable_folder(nothing)
