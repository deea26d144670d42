"""What the samplers are judged by: the exact law of the wells, and scores that flatter nobody."""

import numpy as np

from experiments.networks import sampler_walk
from experiments.networks.sampler_walk import CENTRES, WEIGHTS, WIDTH, exact_law, score


def _draws(wells):
    """Independent draws of Gaussians about the centres: the law at beta = 1."""
    return CENTRES[wells] + WIDTH * np.random.default_rng(0).normal(size=(*wells.shape, 2))


def test_the_law_is_that_of_the_mixture():
    cells, wells = exact_law(1.0)
    np.testing.assert_allclose(cells.sum(), 1, rtol=1e-9)
    np.testing.assert_allclose(wells, WEIGHTS, atol=2e-3)  # what of a well lies nearer to another centre
    assert exact_law(2.0)[1].max() > wells.max()  # colder, the deepest well gains


def test_independent_draws_are_worth_their_number():
    wells = np.random.default_rng(1).choice(5, size=(20, 500), p=WEIGHTS)
    good = score(_draws(wells), *exact_law(1.0))
    assert 7000 < good.effective < 14000
    assert good.wells < 0.02
    assert good.variation < 0.12


def test_chains_that_stay_in_wrong_wells_are_worth_little():
    stuck = np.repeat(np.arange(20) % 5, 500).reshape(20, 500)  # a fifth in each
    assert score(_draws(stuck), *exact_law(1.0)).effective < 40
    one = score(_draws(np.zeros((20, 500), int)), *exact_law(1.0))
    assert one.effective == 0
    assert one.wells > 0.9


def test_quick_draws_of_a_wrong_law_are_worth_the_draws_that_would_be_so_far_off():
    """A fifth in each well, drawn independently: w (1 - w)/(1/5 - w)² draws, of the well whose share is worst."""
    wells = np.random.default_rng(2).choice(5, size=(20, 500))
    expected = min(WEIGHTS * (1 - WEIGHTS) / (0.2 - WEIGHTS) ** 2)
    np.testing.assert_allclose(score(_draws(wells), *exact_law(1.0)).effective, expected, rtol=0.2)


def test_every_sampler_begins_in_the_lightest_well():
    for sampler in sampler_walk.samplers(sampler_walk.QUICK):
        np.testing.assert_allclose(sampler.point(sampler.start), CENTRES[0], rtol=1e-6)
