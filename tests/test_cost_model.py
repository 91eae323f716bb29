"""The figures of a calibration and of a link as the terms of the formulas."""

import numpy as np
import pytest

from common.errors import ConfigError
from experiments.prediction.cost_model import (
    Calibration,
    Curve,
    Figures,
    among_neighbours,
    link_terms,
    through_a_hub,
)

MIB = 1 << 20


def curve(sizes=(MIB, 16 * MIB), beta=(1e-9, 3e-9), gamma=(0.0, 1e-10), alpha=1e-5):
    return Curve(alpha, sizes, beta, gamma)


def figures(transport="shm", workers=4, **more):
    return Figures(transport, workers, curve(**more), curve(**more))


def test_curves_turn_seconds_into_the_terms_of_the_formulas():
    n, nbytes = 3, 4 * MIB
    piece = nbytes / (n + 1)
    near = among_neighbours(n, [nbytes], 2.0, np.array([2 + 5 * piece]), np.array([2 + 7 * piece]))
    assert near == Curve(2.0, (nbytes,), (5.0,), (2.0,))
    hub = through_a_hub(
        n, [nbytes], 2.0, np.array([2 + 1.25 * n * nbytes * 5]), np.array([2 + 1.25 * n * nbytes * 5 + 7 * n * nbytes])
    )
    assert hub == Curve(1.0, (nbytes,), (5.0,), (7.0,))


def test_where_adding_costs_less_than_moving_an_all_reduce_pays_the_mean_of_both():
    near = among_neighbours(1, [8], 0.0, np.array([4 * 6.0]), np.array([4 * 2.0]))
    assert near == Curve(0.0, (8,), (4.0,), (0.0,))


def test_a_step_that_takes_less_than_a_message_costs_nothing_a_byte():
    assert among_neighbours(1, [8], 5.0, np.array([1.0]), np.array([1.0])).beta == (0.0,)
    assert through_a_hub(1, [8], 5.0, np.array([1.0]), np.array([1.0])).beta == (0.0,)


def test_between_sizes_figures_are_interpolated_and_beyond_them_flat():
    found = [curve().link(nbytes).beta for nbytes in (1, MIB, 4 * MIB, 16 * MIB, 1 << 30)]
    assert found == pytest.approx([1e-9, 1e-9, 2e-9, 3e-9, 3e-9])
    assert curve().link(4 * MIB).gamma == pytest.approx(0.5e-10)


def test_figures_of_the_nearest_number_of_workers_are_taken_with_a_word():
    calibration = Calibration((figures(workers=2), figures(workers=4)), name="c.json")
    assert calibration.nearest("shm", 4) == (figures(workers=4), None)
    assert calibration.nearest(None, 2)[0].workers == 2
    found, word = calibration.nearest("shm", 64)
    assert found.workers == 4
    assert word == "64 workers are predicted from figures measured with 4 over shm"


def test_another_transport_than_was_measured_is_refused():
    calibration = Calibration((figures("shm"), figures("ipc")), name="c.json")
    with pytest.raises(ConfigError, match=r"c.json has shm, ipc, not tcp: run syncbench calibrate --transport tcp"):
        calibration.nearest("tcp", 4)
    with pytest.raises(ConfigError, match=r"c.json has shm and ipc: say which with --transport"):
        calibration.nearest(None, 4)


@pytest.mark.parametrize(
    ("text", "alpha", "beta"),
    [("1gbit,50us", 50e-6, 8e-9), ("25mbit,0.5ms", 5e-4, 3.2e-7), ("1gbit,50us,5us", 55e-6, 8e-9)],
)
def test_a_link_in_words_becomes_the_terms_of_the_formulas(text, alpha, beta):
    link = link_terms(text)
    assert (link.alpha, link.beta, link.gamma) == pytest.approx((alpha, beta, 0.0))


@pytest.mark.parametrize("text", ["", "fast", "50us", "0gbit,50us", "1gbit,50"])
def test_a_text_that_is_no_link_is_refused(text):
    with pytest.raises(ConfigError, match=r"--link: .*"):
        link_terms(text)
