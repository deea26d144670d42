"""Informed proposals: categories and neural energies against enumerated laws, the bias of what is not adjusted."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube, weighted
from ebmjax.diagnostics import exact_mean, z_scores
from ebmjax.energies import hopfield, neural
from ebmjax.loops import thinned, trajectory
from ebmjax.sample import informed
from ebmjax.types import BITS, SPINS

CHAINS, DRAWS, BURN_IN = 64, 150, 20
RANDOM = np.random.default_rng(2)
NETWORK = neural.init(jax.random.key(4), (7, 16))
STATES = np.eye(3, dtype=np.float32)[np.array(list(itertools.product(range(3), repeat=4)))]
PAIRS = jnp.asarray(0.25 * RANDOM.normal(size=(12, 12)), jnp.float32)
MACHINE = hopfield.Params(
    jnp.asarray(0.5 * (1 - np.eye(5)), jnp.float32),
    jnp.asarray(0.4 * RANDOM.normal(size=5), jnp.float32),
)


def of_network(spins):
    """Not linear in any unit: its gradient is no difference of energies."""
    return 3 * neural.energy(NETWORK, spins)


def of_categories(one_hot):
    """Four categories of three states, with every pair of states; curved between the states."""
    flat = one_hot.ravel()
    return flat @ PAIRS @ flat + jnp.sum(flat**3 * jnp.linspace(-0.5, 0.5, 12))


CASES = {
    "gibbs_with_gradients": (partial(informed.gibbs_with_gradients, of_network), False, 7),
    "langevin": (lambda beta: informed.langevin(of_network, beta, 3.0), False, 2),
    "gibbs_with_gradients_of_categories": (
        partial(informed.gibbs_with_gradients_of_categories, of_categories),
        True,
        5,
    ),
    "langevin_of_categories": (lambda beta: informed.langevin_of_categories(of_categories, beta, 1.5), True, 3),
}


def moments(units):
    flat = units.ravel()
    left, right = np.triu_indices(len(flat), 1)
    products = flat[left] * flat[right]
    return jnp.concatenate([flat, products])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_informed_proposals_have_the_enumerated_law(name):
    """A score beyond 5 in any of 78 moments of 12 cases happens by chance once in 1900 runs, were they normal."""
    make, categories, thin = CASES[name]
    space = weighted(jnp.asarray(STATES), jnp.zeros(len(STATES))) if categories else spin_cube(7)
    energy = of_categories if categories else of_network

    def run(beta, key, start):
        draws = trajectory(key, thinned(make(beta), thin), start, BURN_IN + DRAWS).positions[BURN_IN:]
        return jax.vmap(moments)(draws)

    program = jax.jit(jax.vmap(run, (None, 0, 0)))
    # moments that are the same in all states, such as products within a row, are left out
    truths = jax.vmap(moments)(space.points)
    varies = np.ptp(np.asarray(truths), axis=0) > 0
    start = space.points[jax.random.randint(jax.random.key(2), (CHAINS,), 0, len(space.points))]
    for beta in (0.0, 0.4, 1.5):
        draws = program(jnp.float32(beta), jax.random.split(jax.random.key(3), CHAINS), start)
        assert np.isin(np.unique(draws), [-1.0, 0.0, 1.0]).all()
        truth = exact_mean(truths, posterior(energy, space, beta))
        z = np.asarray(z_scores(draws[..., varies], truth[varies]))
        assert np.abs(z).max() < 5, f"beta {beta}: the worst moment is {np.abs(z).max():.1f} standard errors off"


def transitions(beta, step_size, points):
    """The transition matrix of the unadjusted chain, by its formula."""
    gaps = -np.asarray(jax.vmap(jax.grad(partial(hopfield.energy, MACHINE)))(points)) * (-2 * np.asarray(points))
    turn = 1 / (1 + np.exp(-(beta * gaps / 2 - 4 / (2 * step_size))))
    differs = np.asarray(points)[:, None] != np.asarray(points)[None]
    return np.where(differs, turn[:, None], 1 - turn[:, None]).prod(axis=-1)


@pytest.mark.slow
def test_the_bias_of_what_is_not_adjusted_vanishes_with_the_step():
    """The kernel's own step has the row of the formula, within 5 standard errors at all 32 states."""
    points, beta = spin_cube(5).points, 0.6
    law = np.asarray(posterior(partial(hopfield.energy, MACHINE), spin_cube(5), beta), np.float64)
    biases = []
    for step_size in (4.0, 1.0, 0.4):
        values, vectors = np.linalg.eig(transitions(beta, step_size, points).T)
        stationary = np.real(vectors[:, np.argmax(np.real(values))])
        biases.append(np.abs(stationary / stationary.sum() - law).sum() / 2)
    assert biases[0] > 0.02
    assert biases[0] > 2 * biases[1] > 4 * biases[2]
    kernel = informed.unadjusted(partial(hopfield.energy, MACHINE), beta, 4.0)
    state = kernel.init(points[13])
    ends = jax.vmap(lambda key: kernel.step(key, state)[0].position)(jax.random.split(jax.random.key(0), 20_000))
    counts = np.bincount(((np.asarray(ends) > 0) @ (2 ** np.arange(5))).astype(int), minlength=32)
    numbers = ((np.asarray(points) > 0) @ (2 ** np.arange(5))).astype(int)
    row = transitions(beta, 4.0, points)[13]
    errors = np.sqrt(row * (1 - row) / 20_000)
    assert (np.abs(counts[numbers] / 20_000 - row) < 5 * errors + 1e-9).all()


@pytest.mark.slow
def test_categories_of_two_states_are_bits():
    """The unadjusted chains of both agree in law: the mean of one step from one state, within 5 standard errors."""
    slopes = jnp.array([0.4, -0.9, 0.2])
    bits = informed.unadjusted(lambda x: slopes @ x, 1.3, 1.0, BITS)
    rows = informed.unadjusted_of_categories(lambda x: slopes @ x[:, 1], 1.3, 2.0)
    keys = jax.random.split(jax.random.key(5), 20_000)
    start = jnp.array([1.0, 0.0, 1.0])
    of_bits = jax.vmap(lambda key: bits.step(key, bits.init(start))[0].position)(keys).mean(0)
    one_hot = jnp.stack([1 - start, start], axis=1)
    of_rows = jax.vmap(lambda key: rows.step(key, rows.init(one_hot))[0].position)(keys).mean(0)[:, 1]
    # |x' - x|² is 1 for a bit, and 2 for a row
    np.testing.assert_allclose(of_bits, of_rows, atol=5 * 0.5 * np.sqrt(2 / 20_000))


def test_bad_arguments_are_refused_by_name():
    energy = lambda x: -jnp.sum(x)
    for message, call in [
        ("beta: got inf", lambda: informed.gibbs_with_gradients(energy, jnp.inf)),
        ("beta: got -1", lambda: informed.langevin_of_categories(energy, -1.0, 1.0)),
        (r"step_size: got 0\.0", lambda: informed.langevin(energy, 1.0, 0.0)),
        (r"step_size: got -2\.0", lambda: informed.unadjusted_of_categories(energy, 1.0, -2.0)),
        ("energy", lambda: informed.gibbs_with_gradients(1.0, 1.0)),
        (r"position: got a unit of 0\.5", lambda: informed.langevin(energy, 1.0, 1.0).init(np.full(3, 0.5))),
        (r"position: got a unit of -1", lambda: informed.langevin(energy, 1.0, 1.0, BITS).init(-np.ones(3))),
        (
            r"position: got a row of \[1\.0, 1\.0\]",
            lambda: informed.gibbs_with_gradients_of_categories(energy, 1.0).init(np.ones((3, 2))),
        ),
        (
            r"position: got a row of \[0\.5, 0\.5\]",
            lambda: informed.langevin_of_categories(energy, 1.0, 1.0).init(np.full((3, 2), 0.5)),
        ),
        (
            r"position: got shape \(3, 1\)",
            lambda: informed.langevin_of_categories(energy, 1.0, 1.0).init(np.ones((3, 1))),
        ),
        (
            "position: got an energy of nan",
            lambda: informed.langevin(lambda x: jnp.nan * x.sum(), 1.0, 1.0).init(np.ones(2)),
        ),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


def test_integers_walk_as_floats():
    kernel = informed.gibbs_with_gradients(of_network, 0.7, SPINS)
    ends = [
        kernel.step(jax.random.key(0), kernel.init(start))[0].position for start in (np.ones(7, np.int8), np.ones(7))
    ]
    np.testing.assert_array_equal(*ends)
    assert ends[0].dtype == jnp.float32


@pytest.mark.slow
def test_double_precision_stays_double(x64):
    energy = lambda x: jnp.sum(x**3) / 2
    one_hot = np.eye(3)[[0, 2]]
    for kernel, start in (
        (informed.gibbs_with_gradients(energy, np.float32(0.7)), np.ones(3)),
        (informed.langevin(energy, 0.7, np.float32(1.0)), np.ones(3)),
        (informed.gibbs_with_gradients_of_categories(energy, 0.7), one_hot),
        (informed.langevin_of_categories(energy, 0.7, 1.0), one_hot),
        (informed.unadjusted(energy, 0.7, 1.0), np.ones(3)),
    ):
        state, _ = kernel.step(jax.random.key(0), kernel.init(start))
        assert state.position.dtype == jnp.float64
