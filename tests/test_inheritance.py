"""Ranks inherit an environment; signals can be deferred."""

import os
import signal

import pytest

from experiments.launch.inheritance import MALLOC, rank_environment, signals_deferred


def test_ranks_get_few_threads_temporary_files_in_our_folder_and_no_interrupts(tmp_path, monkeypatch):
    user_set, *ours = MALLOC
    monkeypatch.setenv(user_set, "4711")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    before = dict(os.environ)
    with rank_environment(2, tmp_path):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
        assert os.environ["TMPDIR"] == str(tmp_path)
        assert os.environ[user_set] == "4711"  # the user knows better
        assert all(os.environ[name] == MALLOC[name] for name in ours)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interrupt_at_a_bad_moment_comes_afterwards():
    done = []

    def clean_up():
        with signals_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            clean_up()
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["all of it"]
