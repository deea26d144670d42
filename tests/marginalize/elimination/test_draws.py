"""Draws and ground states by elimination, against the enumerated law.

A frequency differs from its probability by more than 5 standard errors with a chance of 6e-7; some 2,000 frequencies
are compared, so that the chance of a false alarm is about 1e-3, and the seed is fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from ebmjax.energies import ising
from ebmjax.marginalize.elimination import draws, exact, factors, graphs, plans
from ebmjax.types import CONVERGED, DIVERGED, SPINS
from tests.marginalize.elimination import enumerated
from tests.marginalize.elimination.enumerated import GRAPHS

COUNT = 20_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loops", "repeated edges", "several components"])
def test_draws_have_the_law(name):
    """At four temperatures, with many states of least energy at the last."""
    _, _, states = GRAPHS[name]
    terms = enumerated.random_factors(name, whole=True)
    values, every = enumerated.energies(name, terms)
    plan = plans.plan(enumerated.graph(name), states)
    terms = jax.tree.map(jnp.asarray, terms)
    draw = jax.jit(lambda key, beta: draws.sample(key, plan, terms, beta, COUNT))
    for seed, beta in enumerate((0.0, 0.4, 3.0, np.inf)):
        found = np.asarray(draw(jax.random.key(seed), jnp.array(beta)))
        number = found @ states ** np.arange(plan.units)[::-1]
        assert np.array_equal(every[number], found)
        weights = enumerated.law(values, beta)
        frequency = np.bincount(number, minlength=len(values)) / COUNT
        assert np.all(frequency[weights == 0] == 0)
        likely = weights * COUNT > 20  # rarer ones are not normally distributed
        error = np.sqrt(weights * (1 - weights) / COUNT)
        assert np.all(np.abs(frequency - weights)[likely] < 5 * error[likely] + 1e-6)
        # neither are they all of one kind: chi-square of the likely ones, whose standard deviation is sqrt(2 n)
        chi_square = np.sum((frequency - weights)[likely] ** 2 / weights[likely]) * COUNT
        assert abs(chi_square - likely.sum()) < 5 * np.sqrt(2 * likely.sum()) + 5


@pytest.mark.slow
def test_ground_states():
    for name in ("loops", "repeated edges", "several components", "complete"):
        for whole in (False, True):
            terms = enumerated.random_factors(name, seed=5, whole=whole)
            values, every = enumerated.energies(name, terms)
            plan = plans.plan(enumerated.graph(name), GRAPHS[name][2])
            found = draws.ground_state(plan, terms)
            assert found.result == CONVERGED
            np.testing.assert_allclose(found.energy, values.min(), rtol=1e-5)
            np.testing.assert_allclose(values[(every == np.asarray(found.value)).all(1)], values.min(), rtol=1e-5)
            assert found.gap < 1e-4
            assert found.value.tolist() == draws.ground_state(plan, terms).value.tolist()


@pytest.mark.slow
def test_lattice_draws():
    """The mean energy and its square on an 8 × 8 lattice, within 5 standard errors of the derivatives of F."""
    params = ising.to_boltzmann(ising.Params(jnp.array(1.0), jnp.array(0.0)), (8, 8))
    plan = plans.plan(graphs.from_matrix(params.weights))
    terms = factors.machine(plan, params, SPINS)
    found = draws.sample(jax.random.key(1), plan, terms, 0.4, 4000)
    energies = np.asarray(jax.vmap(lambda state: factors.energy(plan, terms, state))(found), np.float64)
    beta = jnp.array(0.4)
    mean = -jax.jvp(lambda beta: exact.log_partition(plan, terms, beta).log_partition, (beta,), (jnp.ones_like(beta),))[
        1
    ]
    assert abs(energies.mean() - mean) < 5 * energies.std() / np.sqrt(len(energies))


def test_where_there_is_no_law():
    plan, terms = plans.plan(enumerated.graph("loops")), enumerated.random_factors("loops")
    nothing = terms._replace(unary=np.full_like(terms.unary, np.inf))
    assert np.all(np.asarray(draws.sample(jax.random.key(0), plan, nothing, 1.0, 5)) == -1)
    found = draws.ground_state(plan, nothing)
    assert found.result == DIVERGED
    assert np.all(np.asarray(found.value) == -1)
    with pytest.raises(ArgumentError, match=r"^draws: got 0"):
        draws.sample(jax.random.key(0), plan, terms, 1.0, 0)
