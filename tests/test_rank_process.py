"""The life of a rank process."""

import threading

from experiments.launch import job_folder, rank_process


def test_a_rank_whose_agent_is_gone_removes_the_shared_memory(tmp_path, monkeypatch):
    """The lock is free: the agent is gone."""
    memory, home = tmp_path / "shm", tmp_path / "syncbench-1" / "job-1"
    (memory / "syncbench-mpi-1").mkdir(parents=True)
    home.mkdir(parents=True)
    (home / job_folder.SHARED_NOTE).write_text(str(memory / "syncbench-mpi-1"))
    (home.parent / "agent.lock").touch()
    monkeypatch.setattr(job_folder, "SHARED_MEMORY", memory)
    ended = threading.Event()
    monkeypatch.setattr(rank_process.os, "_exit", lambda code: ended.set())
    rank_process.die_with_the_agent(home)
    assert ended.wait(30)
    assert list(memory.iterdir()) == []
    assert not home.parent.exists()
