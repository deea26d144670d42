"""Inverse temperatures in figures: the colder the darker, on a logarithmic axis with places for 0 and ∞."""

import math

import numpy as np
import pytest

from experiments.drawing import beta_axis, plots

BETAS = [0.0, 0.1, 1.0, 10.0, math.inf]


def lightness(colors):
    return np.asarray(colors)[:, :3] @ np.array([0.299, 0.587, 0.114])


def test_the_colder_the_darker():
    colors = beta_axis.colors(BETAS)
    assert (np.diff(lightness(colors)) < -0.03).all()
    shuffled = beta_axis.colors(BETAS[::-1])
    np.testing.assert_array_equal(shuffled[::-1], colors)
    assert beta_axis.colors([math.inf]).shape == (1, 4)


def test_positions_are_logarithmic_with_the_limits_apart():
    positions = beta_axis.positions(BETAS)
    np.testing.assert_allclose(positions[1:4], [-1, 0, 1])
    assert positions[0] < -1.2
    assert positions[4] > 1.2
    assert np.isfinite(beta_axis.positions([0.0, math.inf])).all()


def test_the_beta_axis_names_its_limits_and_its_decades():
    _, axes = plots.one()
    beta_axis.draw(axes, BETAS, critical=0.248)
    ticks = dict(zip((tick.get_text() for tick in axes.get_xticklabels()), axes.get_xticks(), strict=True))
    assert [*ticks][-2:] == ["0", "∞"]
    assert ticks["10"] == pytest.approx(1)
    assert ticks["∞"] == pytest.approx(beta_axis.positions(BETAS)[-1])
    assert axes.lines[0].get_xdata()[0] == pytest.approx(math.log10(0.248))
