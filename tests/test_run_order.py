"""The order of cells: repeats take turns, contestants stand together, the same cells give the same order."""

from sweeps import grid, sweep

from experiments.sweep.grid import make_grid
from experiments.sweep.run_order import turns


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
