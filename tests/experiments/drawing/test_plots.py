"""Figures: colours in order, values where they belong, one style."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from experiments.drawing import beta_axis, plots


def test_cold_is_blue_and_hot_is_red():
    cold, warm, hot = (plots.COLD_WARM(value)[:3] for value in (0.0, 0.5, 1.0))
    assert cold[2] > 2 * cold[0]
    assert min(warm) > 0.85
    assert hot[0] > 3 * max(hot[1:])


def test_the_map_has_y1_to_the_right_and_clips():
    _, axes = plots.one()
    y1, y2 = np.linspace(-3, 3, 7), np.linspace(-2, 2, 5)
    values = np.broadcast_to(y1[:, None] ** 2 / 4, (7, 5))
    image = plots.cold_warm_map(axes, y1, y2, values)
    assert np.ma.getdata(image.get_array()).shape == (5, 7)
    np.testing.assert_allclose(np.ma.getdata(image.get_array())[0], y1**2 / 4)
    assert image.norm(2.25) == 1
    assert axes.get_aspect() == 1
    assert axes.get_xlabel() == "y₁"


def test_a_flat_map_and_one_with_nan_are_drawn():
    for values in (np.zeros((4, 3)), np.full((4, 3), np.nan), np.where(np.eye(4, 3) > 0, np.nan, 0.5)):
        figure, axes = plots.one()
        with np.errstate(all="raise"):
            plots.cold_warm_map(axes, np.arange(4), np.arange(3), values)
            figure.canvas.draw()


def test_the_drawings_take_points_in_rows():
    figure, grid = plots.panels(1, 2, share_y=True)
    assert grid.shape == (1, 2)
    ring = np.array([[1, 0], [0, 1], [-1, 0]])
    plots.curve(grid[0, 0], ring, label="ring")
    assert grid[0, 0].lines[0].get_xydata().tolist() == [*ring.tolist(), [1, 0]]
    plots.curve(grid[0, 1], ring, closed=False)
    assert grid[0, 1].lines[0].get_xydata().tolist() == ring.tolist()
    plots.scatter(grid[0, 0], ring)
    plots.arrows(grid[0, 0], ring, 2 * ring)
    quiver = grid[0, 0].collections[-1]
    assert (quiver.U.tolist(), quiver.V.tolist()) == ([1, 0, -1], [0, 1, 0])
    plots.lines(grid[0, 1], [0, 1], [[0, 1], [1, 0]], ["a", "b"], beta_axis.colors([1.0, 2.0]))
    assert [text.get_text() for text in grid[0, 1].get_legend().get_texts()] == ["a", "b"]
    figure.canvas.draw()


def test_the_horn_is_drawn_along_x():
    figure, (axes,) = plots.spatial()
    x = np.linspace(0, 1, 5)
    z = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    y = (1 + x)[:, None, None] * np.stack([np.cos(z), np.sin(z)], axis=-1)
    plots.horn_surface(axes, x, y, label="horn")
    plots.horn_points(axes, x, y[:, 0])
    assert (axes.get_xlabel(), axes.get_zlabel()) == ("x", "y₂")
    low, high = axes.get_xlim()
    assert (low, high) == pytest.approx((0, 1), abs=0.1)
    figure.canvas.draw()


def test_the_style_ends_with_its_block():
    before = matplotlib.rcParams["axes.grid"]
    with plots.house_style():
        assert matplotlib.rcParams["axes.grid"]
    assert matplotlib.rcParams["axes.grid"] == before


def test_the_palette_is_made_of_different_colours():
    assert len({to_rgb(color) for color in plots.PALETTE.values()}) == 8


def test_the_style_draws_with_the_palette():
    with plots.house_style():
        drawn = [to_rgb(line["color"]) for line in matplotlib.rcParams["axes.prop_cycle"]]
        assert matplotlib.rcParams["font.size"] == 10.5
    assert drawn == [to_rgb(color) for name, color in plots.PALETTE.items() if name != "yellow"]
