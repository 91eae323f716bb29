"""An exchange too large to simulate is recognised without trying."""

import math

import pytest

from experiments.prediction import simulation
from experiments.prediction.simulation import MOST_WORKERS, simulation_cost


@pytest.mark.parametrize(("workers", "servers"), [(MOST_WORKERS + 1, 1), (4, MOST_WORKERS + 1)])
def test_more_ranks_than_there_is_room_for_cost_for_ever_and_are_not_tried(monkeypatch, workers, servers):
    monkeypatch.setattr(simulation, "simulate_exchange", None)
    assert simulation_cost("ps-bsp", {}, workers, servers, 4096) == math.inf
