"""Checkpoints: damage is noticed, and a killed writer leaves an intact file."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from common.errors import RunError
from common.place import Place
from common.runtime.checkpoint import SUFFIX, Checkpoints, intact_versions, versions

JOB, RANK = 77, 4
STATE = {"params": np.arange(5, dtype=np.float32), "clock": np.array(3)}
DTYPES = st.sampled_from(["<f4", "<f8", "<i8", "<u2", "?", "<f2"]).map(np.dtype)
ARRAYS = DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0)))


def checkpoints(folder, every=10, **more):
    return Checkpoints(folder, every, Place(RANK, "server", "synchronize", 9), JOB, **more)


def same(state, other):
    return state.keys() == other.keys() and all(
        (state[name].dtype, state[name].shape, state[name].tobytes())
        == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name in state
    )


@given(st.dictionaries(st.text(), ARRAYS, max_size=4), st.integers(0, 10**9))
def test_load_returns_the_saved_state_for_all_dtypes_and_shapes(tmp_path_factory, state, version):
    kept = checkpoints(tmp_path_factory.mktemp("checkpoints"))
    kept.save(version, state)
    found = kept.load()
    assert found.version == version
    assert same(found.arrays, {name: np.asarray(array) for name, array in state.items()})


def test_each_save_calls_for_notes_and_load_returns_them(tmp_path):
    sent = {"bytes": 0}
    kept = checkpoints(tmp_path, notes=lambda: sent)
    kept.save(0, STATE)
    sent["bytes"] = 12
    kept.save(10, STATE)
    assert kept.load(0).notes["bytes"] == 0
    assert kept.load(10).notes["bytes"] == 12


@pytest.mark.parametrize(("every", "left"), [(10, [20, 30]), (1, [10, 20, 30])])
def test_only_the_last_versions_are_kept(tmp_path, every, left):
    kept = checkpoints(tmp_path, every)
    for version in (0, 10, 20, 30):
        kept.save(version, STATE)
    assert versions(tmp_path) == left


def test_the_folder_holds_only_checkpoints(tmp_path):
    checkpoints(tmp_path / "4").save(10, STATE)
    assert [path.name for path in tmp_path.rglob("*")] == ["4", f"10{SUFFIX}"]


def test_an_array_of_objects_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        checkpoints(tmp_path).save(0, {"x": np.array([object()])})
    assert list(tmp_path.iterdir()) == []


def file_of(folder):
    """Save versions 0 and 10; return the checkpoints and the file of version 10."""
    kept = checkpoints(folder)
    kept.save(0, STATE)
    kept.save(10, {**STATE, "clock": np.array(10)})
    return kept, folder / f"10{SUFFIX}"


def test_every_flipped_bit_is_noticed_and_the_earlier_version_loaded(tmp_path):
    kept, file = file_of(tmp_path)
    whole = file.read_bytes()
    for byte in range(len(whole)):
        file.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << byte % 8]) + whole[byte + 1 :])
        assert kept.load().version == 0, byte
    intact, (damage,) = intact_versions(tmp_path, JOB, RANK)
    assert intact == [0]
    assert damage == f"10{SUFFIX} is damaged: its checksum does not match"


def test_every_truncation_and_every_appended_byte_is_noticed(tmp_path):
    kept, file = file_of(tmp_path)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert kept.load().version == 0, length
    file.write_bytes(whole + b"\0")
    assert kept.load().version == 0
    file.write_bytes(whole)
    assert kept.load().version == 10


def test_a_checkpoint_of_another_job_or_rank_is_refused(tmp_path):
    file_of(tmp_path)
    for job, rank in ((JOB + 1, RANK), (JOB, RANK + 1)):
        assert intact_versions(tmp_path, job, rank)[0] == []
    assert intact_versions(tmp_path, JOB, RANK) == ([0, 10], [])


def test_without_an_intact_checkpoint_the_error_says_why(tmp_path):
    kept, file = file_of(tmp_path)
    with pytest.raises(RunError, match=r"server rank 4, .* come back with: 20\.checkpoint: No such file"):
        kept.load(20)
    with pytest.raises(RunError, match="there is none in"):
        checkpoints(tmp_path / "elsewhere").load()
    file.write_bytes(b"")
    with pytest.raises(RunError, match=r"10\.checkpoint is no checkpoint"):
        kept.load(10)


class Killed(BaseException):
    """Stands in for a kill of the process."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("which", range(6))
def test_a_kill_between_any_two_file_operations_leaves_a_loadable_state(tmp_path, monkeypatch, which, before):
    kept = checkpoints(tmp_path)
    for version in (0, 10):
        kept.save(version, {"clock": np.array(version)})
    calls = []

    def deadly(name, real):
        def act(*args, **more):
            calls.append(name)
            if before and len(calls) > which:
                raise Killed
            done = real(*args, **more)
            if len(calls) > which:
                raise Killed
            return done

        return act

    for name in ("fsync", "rename", "unlink", "open"):
        monkeypatch.setattr(os, name, deadly(name, getattr(os, name)))
    killed = True
    try:
        kept.save(20, {"clock": np.array(20)})
        killed = False
    except Killed:
        pass
    monkeypatch.undo()
    found = checkpoints(tmp_path).load()
    assert found.version == found.arrays["clock"] == (20 if "rename" in calls and not (before and which == 1) else 10)
    assert killed == (which < len(calls))
    checkpoints(tmp_path).save(30, STATE)
    assert versions(tmp_path)[-1] == 30


@pytest.mark.parametrize("operation", ["fsync", "rename"])
def test_a_full_disk_is_a_one_line_error_and_older_checkpoints_remain(tmp_path, monkeypatch, operation):
    kept, _ = file_of(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, operation, full)
    with pytest.raises(RunError, match=r"step 9: a checkpoint cannot be written: No space left on device"):
        kept.save(20, STATE)
    monkeypatch.undo()
    assert versions(tmp_path) == [0, 10]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_snapshot_is_a_copy_of_the_current_state(tmp_path):
    kept, params = checkpoints(tmp_path), np.zeros(3)
    assert kept.snapshot() is None
    kept.live_state = lambda: {"params": params}
    params += 1
    snapshot = kept.snapshot()
    params += 1
    assert snapshot["params"].tolist() == [1, 1, 1]
