"""The cells of a sweep: which there are, which combinations are left out or refused, and the order of their runs."""

import pytest
from sweeps import abouts, grid, sweep

from common.errors import ConfigError
from experiments.sweep.grid import make_grid, turns

ALONE = "ceiling: false\nyardstick: false\n"


def test_every_contestant_meets_every_combination():
    found = grid(ALONE + "strategies: [ring, tree]\nworkers: [1, 2, 4]\nsteps: [10, 20]")
    assert len(found.cells) == len({cell.id for cell in found.cells}) == 2 * 3 * 2
    assert {(cell.strategy, cell.plan.job.workers, cell.plan.job.steps) for cell in found.cells} == {
        (name, workers, steps) for name in ("ring", "tree") for workers in (1, 2, 4) for steps in (10, 20)
    }


def test_the_ceiling_and_the_yardstick_are_added_unless_they_are_switched_off_or_contestants():
    assert abouts(grid("strategies: ring")) == ["ring", "single", "noop"]
    assert abouts(grid("strategies: ring\nceiling: false")) == ["ring", "single"]
    assert abouts(grid("strategies: ring\nyardstick: false")) == ["ring", "noop"]
    assert abouts(grid("strategies: [noop, ring, single]")) == ["noop", "ring", "single"]


def test_servers_are_an_axis_of_strategies_with_servers_alone():
    found = grid(ALONE + "strategies: [ps-bsp, ring]\nservers: [1, 2]\nplacement: [dedicated, colocated]")
    assert len([cell for cell in found.cells if cell.strategy == "ps-bsp"]) == 4
    (ring,) = (cell for cell in found.cells if cell.strategy == "ring")
    assert ring.plan.job.servers == 0
    assert found.not_applied == {"servers": ["ring"], "placement": ["ring"]}


def test_a_strategy_with_its_own_transport_makes_one_cell_for_all_transports():
    found = grid("strategies: [ring, gloo]\ntransport: [ipc, tcp]")
    assert [cell.about for cell in found.cells if cell.strategy != "ring"] == [
        "gloo transport=ipc",
        "single transport=ipc",
        "noop transport=ipc",
    ]
    assert len([cell for cell in found.cells if cell.strategy == "ring"]) == 2
    assert found.not_applied == {"transport": ["gloo", "single", "noop"]}


def test_the_same_job_makes_one_cell():
    assert abouts(grid(ALONE + "strategies: [ring, {name: ring, workers: 4}]\nworkers: 4")) == ["ring workers=4"]


def test_the_settings_of_a_contestant_replace_those_of_the_sweep():
    found = grid(ALONE + "strategies: [{name: ps-bsp, servers: [1, 3], workers: 3}, ring]\nworkers: [2, 4]")
    assert [(cell.strategy, cell.plan.job.workers, cell.plan.job.servers) for cell in found.cells] == [
        ("ps-bsp", 3, 1),
        ("ps-bsp", 3, 3),
        ("ring", 2, 0),
        ("ring", 4, 0),
    ]


def test_options_of_a_strategy_are_an_axis_too():
    found = grid(ALONE + "strategies: [{name: ps-ssp, options: {staleness: [1, 3]}}]\nworkers: [2, 4]")
    assert abouts(found) == [f"ps-ssp staleness={s} workers={w}" for s in (1, 3) for w in (2, 4)]
    assert {(c.plan.job.strategy_options["staleness"], c.plan.traits.consistency) for c in found.cells} == {
        (1, "ssp(1)"),
        (3, "ssp(3)"),
    }


def test_a_combination_that_cannot_run_is_left_out_with_the_reason():
    found = grid(ALONE + "strategies: [ring, ps-backup]\nworkers: [1, 2]")
    assert abouts(found) == ["ring workers=1", "ring workers=2", "ps-backup workers=2"]
    (left,) = found.left_out
    assert left.about == "ps-backup workers=1"
    assert "give fewer than workers" in left.reason


def test_ceiling_and_yardstick_have_nothing_to_do_with_servers_that_come_back():
    found = grid("strategies: ps-bsp\ncheckpoint_every: 5\nrestarts: 1")
    assert abouts(found) == ["ps-bsp", "single", "noop"]
    assert [cell.plan.job.checkpoint_every for cell in found.cells] == [5, 0, 0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("strategies: [ring, ps-backup]\nworkers: 1", "give fewer than workers"),
        ("strategies: ring\nservers: [1, 2]", "none of the strategies has servers"),
        ("strategies: ring\nplacement: colocated", "none of the strategies has servers: leave placement out"),
        ("strategies: [ps-bsp, {name: ring, servers: 2}]", "strategy 'ring' has no servers"),
        ("strategies: [ring, {name: ring, servers: 2}]", "strategy 'ring' has no servers"),
        ("strategies: ring\ntransport: [shm, tpc]", "f.yaml: transport is 'tpc': did you mean tcp"),
        ("strategies: ring\nworkers: [2, 3]\nbatch: 64", "workers 3 cannot be run with anything: --batch 64"),
        ("strategies: [ring, ps-bsp]\nworkers: [2, 0]", "f.yaml: workers is 0: give a whole number from 1"),
        ("strategies: gloo\ntransport: [ipc, tcp]", "transport tcp cannot be run with anything"),
        ("strategies: [{name: ps-bsp, servers: [1, 0]}]", "servers 0 cannot be run with anything: --servers is 0"),
        ("strategies: [{name: ps-ssp, options: {staleness: [3, -1]}}]", "staleness -1 cannot be run with anything"),
        ("strategies: [ring]\nmodel: mpl", "f.yaml: model is 'mpl': did you mean mlp?"),
        ("strategies: [ring]\nsteps: 0", "f.yaml: steps is 0: give a whole number from 1"),
    ],
)
def test_a_value_that_is_in_no_cell_is_a_mistake(text, complaint):
    with pytest.raises(ConfigError) as caught:
        grid(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cell_keeps_its_name_when_others_come_and_go():
    few = {cell.about: cell.id for cell in grid(ALONE + "strategies: ring\nworkers: [2, 4]").cells}
    more = {cell.about: cell.id for cell in grid("strategies: [tree, ring]\nworkers: [1, 2, 4]\nrepeats: 9").cells}
    assert few.items() <= more.items()
    assert all(name.startswith("ring-w") for name in few.values())


def test_repeats_take_turns():
    cells = grid("strategies: [ring, tree, ps-bsp]\nworkers: [1, 2]").cells
    order = turns(cells, 3)
    size = len(cells)
    assert len(order) == len({(cell.id, repeat) for cell, repeat in order}) == 3 * size
    for repeat in range(3):
        block = order[repeat * size : (repeat + 1) * size]
        assert {number for _, number in block} == {repeat + 1}
        assert {cell.id for cell, _ in block} == {cell.id for cell in cells}


def test_no_cell_has_the_same_place_twice_before_all_have_had_it():
    cells = grid("strategies: [ring, tree, ps-bsp]\nworkers: 2").cells
    order = turns(cells, len(cells))
    for cell in cells:
        places = [place % len(cells) for place, (each, _) in enumerate(order) if each is cell]
        assert sorted(places) == list(range(len(cells)))


def test_cells_that_are_compared_run_next_to_each_other():
    cells = grid("strategies: [ring, {name: ps-bsp, servers: [1, 2]}]\nworkers: [1, 2, 4]").cells
    workers = [cell.plan.job.workers for cell, _ in turns(cells, 1)]
    assert workers == sorted(workers)


def test_the_order_is_the_same_every_time():
    text = "strategies: [ring, tree, ps-bsp, star]\nworkers: [1, 2]"
    first, second = ([(c.id, r) for c, r in turns(make_grid(sweep(text)).cells, 2)] for _ in range(2))
    assert first == second


def test_more_repeats_continue_the_order_of_fewer():
    cells = grid("strategies: [ring, tree]\nworkers: [1, 2]").cells
    assert turns(cells, 5)[: 2 * len(cells)] == turns(cells, 2)
