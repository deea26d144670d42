"""Free energies of what is seen against sums by hand, and phases that hold what they should."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import boltzmann
from ebmjax.energies.boltzmann import Units
from ebmjax.learn.contrast.boltzmann_phases import clamped, contrastive_divergence, free_running, observed_free_energy

UNITS = Units(np.array([5, 0, 3]), np.array([4, 2]), np.array([6, 1]))
ORDER = (5, 0, 3, 6, 1)  # of what is seen
SEEN = jnp.array([[1.0, -1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, 1.0, -1.0, 1.0]])


def machine():
    random = np.random.default_rng(0)
    upper = np.triu(random.normal(size=(7, 7)), 1)
    return boltzmann.Params(jnp.asarray(upper + upper.T, float), jnp.asarray(random.normal(size=7), float))


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.7, np.inf])
def test_the_free_energy_sums_over_the_hidden_units(x64, beta):
    params = machine()
    heights = []
    for hidden in itertools.product([-1.0, 1.0], repeat=2):
        state = np.zeros(7)
        state[list(ORDER)], state[[4, 2]] = SEEN[0], hidden
        heights.append(-0.5 * state @ np.asarray(params.weights) @ state - np.asarray(params.bias) @ state)
    heights = np.array(heights)
    truth = {0.0: heights.mean(), np.inf: heights.min()}
    if beta not in truth:
        truth[beta] = -np.log(np.exp(-beta * heights).mean()) / beta
    np.testing.assert_allclose(
        observed_free_energy(UNITS, beta)(params, SEEN[0].astype(float)), truth[beta], rtol=1e-12
    )


@pytest.mark.slow
def test_clamped_units_stay_and_hidden_ones_do_not():
    batch = jnp.tile(SEEN, (50, 1))
    states, _ = clamped(UNITS, 0.1, 2).sample(jax.random.key(0), machine(), None, batch)
    assert (states[:, jnp.array(ORDER)] == batch).all()
    assert (jnp.abs(states[:, UNITS.hidden].mean(axis=0)) < 0.8).all()


@pytest.mark.slow
def test_free_chains_go_on_and_short_ones_begin_at_the_data():
    params, phase = machine(), free_running(UNITS, 0.5, chains=6, sweeps=1)
    memory = phase.init(jax.random.key(0), params)
    states, memory = phase.sample(jax.random.key(1), params, memory, SEEN)
    assert (states == memory.position).all()
    assert states.shape == (6, 7)
    frozen = jax.tree.map(jnp.zeros_like, params)._replace(bias=jnp.full(7, 100.0))
    assert (contrastive_divergence(UNITS, 1.0, 1).sample(jax.random.key(0), frozen, None, SEEN)[0] == 1).all()


@pytest.mark.slow
def test_a_reconstruction_answers_to_hidden_units_that_saw_the_sample():
    """Visible and hidden unit strongly coupled: were the visible unit drawn first, it would copy a random start."""
    pair = boltzmann.Params(jnp.array([[0.0, 9.0], [9.0, 0.0]]), jnp.zeros(2))
    units = Units(np.array([0]), np.array([1]), np.array([], int))
    batch = jnp.where(jnp.arange(100)[:, None] % 3 == 0, 1.0, -1.0)
    states, _ = contrastive_divergence(units, 1.0, 1).sample(jax.random.key(0), pair, None, batch)
    assert (states[:, :1] == batch).all()


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"units: got the spins"):
        observed_free_energy(UNITS, 1.0)(boltzmann.init(jax.random.key(0), 9), SEEN[0])
    with pytest.raises(ValueError, match=r"units: got the spins"):
        clamped(UNITS, 1.0, 1).sample(jax.random.key(0), boltzmann.init(jax.random.key(0), 9), None, SEEN)
    with pytest.raises(ValueError, match=r"seen: got shape \(4,\), wanted \(5,\)"):
        observed_free_energy(UNITS, 1.0)(machine(), SEEN[0, :4])
    for make in (
        lambda: clamped(UNITS, -1.0, 1),
        lambda: free_running(UNITS, -1.0, 1, 1),
        lambda: contrastive_divergence(UNITS, -1.0, 1),
    ):
        with pytest.raises(ValueError, match=r"beta: got -1\.0"):
            make()
    with pytest.raises(ValueError, match="sweeps: got 0, wanted at least 1"):
        clamped(UNITS, 1.0, 0)
