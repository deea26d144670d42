"""Exchanges of clusters between replicas: the law of the pair, the conserved sum of energies, and tempering."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import lattices, posterior, spin_cube
from ebmjax.diagnostics import z_scores
from ebmjax.energies import ising_on_graph
from ebmjax.loops import thinned, trajectory
from ebmjax.sample import gibbs, langevin, metropolis
from ebmjax.sample.isoenergetic import isoenergetic
from ebmjax.sample.tempering import tempering
from ebmjax.states import moved
from ebmjax.types import BITS, SPINS, Kernel

RANDOM = np.random.default_rng(5)
EDGES = [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5), (5, 6), (6, 3), (6, 7)]
GLASS = ising_on_graph.Params(
    jnp.asarray(RANDOM.choice([-1.0, 1.0], len(EDGES)), jnp.float32),
    jnp.asarray(0.3 * RANDOM.normal(size=8), jnp.float32),
)
ENERGY = partial(ising_on_graph.energy, GLASS, EDGES)
UNITS, CHAINS, DRAWS, BURN_IN = 8, 64, 100, 20


def flips(beta):
    return metropolis.metropolis(ENERGY, beta, metropolis.flip_one)


def pair_moments(pair):
    """Units, products within a replica and across both, and products of four: what an exchange could spoil."""
    one, other = pair
    left, right = np.triu_indices(UNITS, 1)
    products = one[left] * one[right]
    across = jnp.outer(one, other).ravel()
    overlap = (one * other).mean()
    return jnp.concatenate([one, products, across, jnp.stack([overlap**2, overlap**4, ENERGY(one) * overlap**2])])


def exact_pairs(beta):
    """The mean of the moments over the product of two enumerated laws."""
    points = spin_cube(UNITS).points
    law = posterior(ENERGY, spin_cube(UNITS), beta)
    of_rows = lambda one: jax.vmap(lambda other: pair_moments((one, other)))(points)
    return jnp.einsum("i,im->m", law, jax.lax.map(lambda one: jnp.einsum("j,jm->m", law, of_rows(one)), points))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["one temperature", "inside tempering", "around tempering"])
def test_pairs_have_the_product_of_both_laws(place):
    """A score beyond 5 in any of 103 moments of 9 cases happens by chance once in 1900 runs, were they normal."""
    both = lambda pair: ENERGY(pair[0]) + ENERGY(pair[1])
    ladder = lambda beta: beta * jnp.array([0.5, 1.0, 1.4])

    def kernel(beta):
        if place == "one temperature":
            return isoenergetic(ENERGY, flips(beta), EDGES), (2, UNITS), lambda position: position
        if place == "inside tempering":
            pairs = tempering(both, lambda beta: isoenergetic(ENERGY, flips(beta), EDGES), ladder(beta))
            return pairs, (3, 2, UNITS), lambda position: position[1]
        return isoenergetic(ENERGY, tempering(ENERGY, flips, ladder(beta)), EDGES), (2, 3, UNITS), lambda x: x[:, 1]

    def run(beta, key):
        chain, shape, pair = kernel(beta)
        start = jax.random.rademacher(key, shape, jnp.float32)
        thinned_draws = trajectory(key, thinned(chain, 6), start, BURN_IN + DRAWS).positions
        return jax.vmap(lambda position: pair_moments(pair(position)))(thinned_draws)[BURN_IN:]

    program = jax.jit(jax.vmap(run, (None, 0)))
    for beta in (0.0, 0.5, 1.3):
        draws = program(jnp.float32(beta), jax.random.split(jax.random.key(1), CHAINS))
        z = np.asarray(z_scores(draws, EXACT(jnp.float32(beta))))
        assert np.abs(z).max() < 5, f"beta {beta}: the worst moment is {np.abs(z).max():.1f} standard errors off"


EXACT = jax.jit(exact_pairs)


@pytest.mark.slow
@pytest.mark.parametrize("alphabet", [SPINS, BITS])
def test_an_exchange_conserves_the_sum_of_energies_and_the_places_of_difference(alphabet):
    lattice = lattices.hypercubic((6, 6))
    params = ising_on_graph.Params(
        jnp.asarray(RANDOM.normal(size=72), jnp.float32), jnp.asarray(RANDOM.normal(size=36), jnp.float32)
    )
    energy = partial(ising_on_graph.energy, params, lattice.edges)
    still = Kernel(gibbs.systematic(energy, 1.0, alphabet).init, lambda key, state: (state, None))
    kernel = isoenergetic(energy, still, lattice, alphabet)
    start = RANDOM.choice(alphabet, (2, 36)).astype(np.int8)
    run = trajectory(jax.random.key(0), kernel, start, 20)
    energies = jax.vmap(jax.vmap(energy))(run.positions)
    np.testing.assert_allclose(energies.sum(1), energies[0].sum(), rtol=1e-5, atol=1e-4)
    assert np.ptp(energies[:, 0]) > 0.3
    apart = start[0] != start[1]
    assert ((run.positions[:, 0] != run.positions[:, 1]) == apart[None]).all()
    assert (run.infos.exchanged > 0).all()
    np.testing.assert_allclose(run.infos.different, apart.mean())
    same = kernel.step(jax.random.key(1), kernel.init(np.stack([start[0]] * 2)))
    assert same[1].exchanged == 0


@pytest.mark.slow
def test_a_moved_chain_keeps_what_is_not_of_its_position():
    kernel = tempering(ENERGY, flips, jnp.array([0.2, 1.0]))
    state = trajectory(jax.random.key(0), kernel, jnp.ones((2, UNITS)), 3).state
    state = state._replace(replica=jnp.array([1, 0], jnp.int32))
    elsewhere = jnp.stack([-state.position[1], jnp.ones(UNITS)])
    new = moved(jax.random.key(1), kernel, state, elsewhere)
    np.testing.assert_array_equal(new.position, elsewhere)
    np.testing.assert_array_equal(new.replicas.position, elsewhere[::-1])
    np.testing.assert_allclose(new.replicas.energy, jax.vmap(ENERGY)(elsewhere[::-1]), rtol=1e-6)
    assert new.turn == state.turn == 1
    assert new.replica.tolist() == [1, 0]
    walk = langevin.underdamped(lambda x: jnp.sum(x**4), 1.0, 0.1, 1.0)
    after = trajectory(jax.random.key(0), walk, jnp.ones(2), 3).state
    new = moved(jax.random.key(1), walk, after, jnp.zeros(2))
    np.testing.assert_array_equal(new.momentum, after.momentum)
    np.testing.assert_array_equal(new.gradient, jnp.zeros(2))


def test_what_an_exchange_cannot_serve_is_refused_by_name():
    ones = np.ones((2, UNITS))
    for message, call in [
        (
            "edges: got ones whose exchanges change the energy",
            lambda: isoenergetic(ENERGY, flips(1.0), EDGES[1:]).init(ones),
        ),
        (
            r"position: got shape \(3, 8\), wanted \(2",
            lambda: isoenergetic(ENERGY, flips(1.0), EDGES).init(np.ones((3, 8))),
        ),
        (r"position: got shape \(8,\), wanted \(2", lambda: isoenergetic(ENERGY, flips(1.0), EDGES).init(np.ones(8))),
        ("edges: got the unit 7 in edge 8", lambda: isoenergetic(ENERGY, flips(1.0), EDGES).init(np.ones((2, 7)))),
        (r"position: got a unit of 0\.5", lambda: isoenergetic(ENERGY, flips(1.0), EDGES).init(ones / 2)),
        ("kernel", lambda: isoenergetic(ENERGY, ENERGY, EDGES)),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


@pytest.mark.slow
def test_double_precision_stays_double(x64):
    params = ising_on_graph.Params(np.asarray(GLASS.coupling, float), np.asarray(GLASS.field, float))
    energy = partial(ising_on_graph.energy, params, EDGES)
    kernel = isoenergetic(energy, metropolis.metropolis(energy, 0.7, metropolis.flip_one), EDGES)
    state, _ = kernel.step(jax.random.key(0), kernel.init(RANDOM.choice([-1.0, 1.0], (2, UNITS))))
    assert state.position.dtype == state.replicas.energy.dtype == jnp.float64
