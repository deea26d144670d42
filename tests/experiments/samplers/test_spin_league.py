"""The laws of the league of discrete samplers against enumeration, and every player's law."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems
from ebmjax.diagnostics import z_scores
from experiments.samplers import hidden_chains, spin_laws, spin_players

SIZES = spin_players.Sizes(warm=400, draws=300, evaluations=8, rungs=4)
SMALL = {
    "glass": lambda key: spin_laws.glass(key, 4, 0.6, 50_000),
    "potts": lambda key: spin_laws.potts_lattice(key, 4, 3, 50_000),
}


def enumerated(law, values):
    """Exact means of the quantities of a law of units with these values."""
    units = jax.eval_shape(law.start, jax.random.key(0)).size
    states = jnp.array(list(itertools.product(values, repeat=units)), jnp.float32)
    weights = jax.nn.softmax(-law.beta * jax.vmap(law.energy)(states))
    return np.asarray(weights @ jax.vmap(law.observe)(states), np.float64)


@pytest.mark.parametrize(
    ("law", "values"),
    [
        (spin_laws.bernoulli(jax.random.key(0), 8), (-1, 1)),
        (spin_laws.factorial_chains(jax.random.key(1), 3, 4), (0, 1)),
        (spin_laws.network(jax.random.key(2), 2, 3, 5), (0, 1)),
    ],
    ids=["bernoulli", "hidden chains", "network"],
)
def test_the_means_are_those_of_enumeration(law, values):
    np.testing.assert_allclose(law.known.means, enumerated(law, values), atol=2e-5)
    assert (law.known.mean_errors == 0).all()


@pytest.mark.slow
def test_means_by_elimination_agree_with_enumeration():
    law = SMALL["glass"](jax.random.key(0))
    away = law.known.means - enumerated(law, (-1, 1))
    assert np.abs(away[0]) < 5 * law.known.mean_errors[0]
    np.testing.assert_allclose(away[1:], 0, atol=1e-5)


def test_the_lattice_knows_its_energy():
    """Far above the transition a lattice of this size has the energy of the infinite one."""
    law = spin_laws.ferromagnet("hot", 0.3)
    np.testing.assert_allclose(law.known.means, [problems.onsager_energy(0.3), 0], atol=1e-4)


@pytest.mark.slow
def test_the_posterior_of_hidden_chains_is_linear_in_each_bit():
    """`chromatic` relies on it: the gradient gives the gap of every bit."""
    model = hidden_chains.model(jax.random.key(0), 2, 3)
    bits = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    slopes = jax.grad(lambda bits: hidden_chains.energy(model, bits))(bits)
    for place in np.ndindex(3, 2):
        gap = hidden_chains.energy(model, bits.at[place].set(1.0)) - hidden_chains.energy(
            model, bits.at[place].set(0.0)
        )
        np.testing.assert_allclose(slopes[place], gap, atol=1e-4)


@pytest.mark.slow
@pytest.mark.optax  # thrml is written for standard dtype promotion
@pytest.mark.parametrize("name", SMALL)
def test_every_player_has_the_law(name):
    """Means within 5 standard errors: a false alarm once in 20,000 runs."""
    law = SMALL[name](jax.random.key(3))
    for entrant in spin_players.lineup(law, SIZES):
        start_keys, warm_keys, draw_keys = (jax.random.split(key, 32) for key in jax.random.split(jax.random.key(4), 3))
        setup = jax.jit(entrant.warm)(warm_keys, jax.vmap(law.start)(start_keys))
        observed = jax.jit(entrant.draw)(draw_keys, setup)
        scores = np.abs(z_scores(observed, law.known.means.astype(np.float32)))
        assert scores.max() < 5, (entrant.name, scores)
        spent = entrant.evaluations / (SIZES.draws * SIZES.evaluations)
        assert 0.5 < spent < 1.5, (entrant.name, spent)
