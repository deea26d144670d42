"""The composed energies of the experiment against their laws by hand, and the measures that judge its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import log_partition
from experiments.networks import composition
from experiments.networks.composition import FINE, SIDE, Config, binned, histogram, noise_floor, plane, total_variation


@pytest.mark.slow
def test_sums_over_the_plane_are_integrals(x64):
    area = log_partition(lambda y: jnp.zeros(()), plane(12), 3.0)
    np.testing.assert_allclose(area, 2 * np.log(2 * SIDE), rtol=1e-6)
    normal = log_partition(lambda y: jnp.sum(y**2) / 2, plane(80), 4.0)
    np.testing.assert_allclose(normal, np.log(2 * np.pi / 4), atol=1e-6)


@pytest.mark.slow
def test_compositions_have_the_laws_that_they_are_named_after(x64):
    config, cells = Config(beta=2.0, not_weight=0.7, path=(0.25,)), 8
    space = plane(cells)
    values = jax.random.normal(jax.random.key(0), (cells**2, 3))
    found, logs = jax.jit(lambda: composition.exact(config, values, space))()
    np.testing.assert_allclose(logs, np.log(np.exp(-2 * values).sum(axis=0)) + 2 * np.log(2 * SIDE / cells), rtol=1e-6)
    relative = np.exp(-2 * np.asarray(values)).T
    bar, ring, blobs = relative / relative.sum(axis=1, keepdims=True)
    by_hand = {
        "bar": bar,
        "ring": ring,
        "blobs": blobs,
        "bar and ring": bar * ring,
        "bar or ring": bar + ring,
        "ring and not bar": ring / (0.9 * bar + 0.1 / cells**2) ** 0.7,
        "ring and (bar or blobs)": ring * (0.4 * bar + 0.6 * blobs),
        "bar to ring, t = 0.25": bar**0.75 * ring**0.25,
    }
    assert list(composition.compositions(config, logs)) == list(by_hand)
    for name, law in zip(by_hand, found, strict=True):
        np.testing.assert_allclose(law, by_hand[name] / by_hand[name].sum(), rtol=1e-5, err_msg=name)


def test_distances_and_their_floor():
    assert total_variation([0.5, 0.5], [1.0, 0.0]) == 0.5
    # of a fair coin thrown four times: 2/16 · ½ + 8/16 · ¼; 5 standard errors of 400 replicas
    mean, highest = noise_floor(np.array([0.5, 0.5]), 4)
    assert abs(mean - 0.1875) < 0.04
    assert highest == 0.5


@pytest.mark.slow
def test_histograms_and_laws_have_the_same_axes():
    """A draw on the right, at the bottom, and the cell that it lies in."""
    draw = jnp.array([[3.9, -3.9]])
    space = plane(5 * FINE)
    nearest = jnp.argmin(jnp.sum((space.points - draw) ** 2, axis=1))
    law = jnp.zeros(len(space.points)).at[nearest].set(1.0)
    np.testing.assert_array_equal(histogram(draw, 5), binned(law, 5))
    assert histogram(draw, 5)[4, 0] == 1
    draws = composition.draw_from_grid(jax.random.key(0), law, space, 5 * FINE, 100)
    assert bool((jnp.abs(draws - space.points[nearest][None]) <= SIDE / (5 * FINE)).all())


def test_the_share_of_a_component():
    """Three draws: where only the first is, where only the second is, where the first is three times as likely."""
    laws = np.zeros((2, 4, 4))
    laws[0, 0, 0], laws[1, 3, 0], laws[0, 1, 2], laws[1, 1, 2] = 1.0, 1.0, 0.75, 0.25
    outcomes = [composition.Outcome(law, law, np.zeros((0, 2)), 0.0, 0.0, 0.0) for law in laws]
    draws = np.array([[-3.5, -3.5], [3.5, -3.5], [-1.0, 1.0]])
    share, error = composition.share_of_first(*outcomes, draws)
    np.testing.assert_allclose(share, 1.75 / 3)
    np.testing.assert_allclose(error, np.std([1, 0, 0.75]) / np.sqrt(3))


@pytest.mark.parametrize(
    ("option", "value"),
    [("beta", 0.0), ("beta", np.inf), ("not_weight", -1.0), ("path", (1.5,)), ("path", ()), ("samples", 1),
     ("steps", 0), ("bins", 1)],
)  # fmt: skip
def test_bad_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')}: got"):
        Config(**{option: value})
