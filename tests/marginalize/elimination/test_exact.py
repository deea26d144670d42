"""Free energies, log Z and marginals by elimination, against enumeration and transfer matrices."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems
from ebmjax.checks import ArgumentError
from ebmjax.energies import ising
from ebmjax.marginalize.elimination import exact, factors, graphs, plans
from ebmjax.marginalize.elimination.factors import Factors
from ebmjax.types import BITS, CONVERGED, DIVERGED, SPINS
from tests.marginalize.elimination import enumerated
from tests.marginalize.elimination.enumerated import GRAPHS

BETAS = (0.0, 1e-6, 0.3, 2.0, 50.0, np.inf)


def many(function, plan, terms):
    """One compiled call for all betas: they are traced, inf among them."""
    return jax.jit(jax.vmap(lambda beta: function(plan, terms, beta)))(jnp.array(BETAS, terms.unary.dtype))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "loops"])
def test_enumeration(name):
    plan = plans.plan(enumerated.graph(name), GRAPHS[name][2])
    both = jax.value_and_grad(lambda terms, beta: exact.free_energy(plan, terms, beta))
    all_at_once = jax.jit(lambda terms: jax.vmap(both, (None, 0))(terms, jnp.array(BETAS, terms.unary.dtype)))
    for whole in (False, True):
        terms = enumerated.random_factors(name, whole=whole)
        values, every = enumerated.energies(name, terms)
        terms = jax.tree.map(jnp.asarray, terms)
        # rounding is relative to what is added up
        size = 1e-6 * sum(float(jnp.abs(array).sum()) for array in terms)
        truth = [enumerated.free_energy(values, beta) for beta in BETAS]
        free_energies, found = all_at_once(terms)
        np.testing.assert_allclose(free_energies, truth, rtol=1e-6, atol=size)
        for i, beta in enumerate(BETAS):
            unary, pair = enumerated.marginals(name, values, every, beta)
            np.testing.assert_allclose(found.unary[i], unary, atol=3e-5, err_msg=f"{beta}")
            np.testing.assert_allclose(found.pair[i], pair, atol=3e-5, err_msg=f"{beta}")


@pytest.mark.slow
def test_static_and_traced_betas_agree():
    plan, terms = plans.plan(enumerated.graph("loops")), enumerated.random_factors("loops", whole=True)
    terms = jax.tree.map(jnp.asarray, terms)
    for beta, traced in zip(BETAS, many(exact.free_energy, plan, terms), strict=True):
        np.testing.assert_allclose(exact.free_energy(plan, terms, beta), traced, rtol=1e-6)
    # the frustrated units of a triangle: six states have the least energy, and each counts once
    triangle = plans.plan(graphs.from_edges(3, [(0, 1), (1, 2), (2, 0)]))
    cold = exact.marginals(triangle, factors.binary(SPINS, -np.ones(3), np.zeros(3)), jnp.inf)
    np.testing.assert_allclose(cold.pair, [[[1 / 6, 1 / 3], [1 / 3, 1 / 6]]] * 3, rtol=1e-6)


def test_log_partition_is_a_sum_over_states():
    name = "loops of three states"
    terms = enumerated.random_factors(name)
    values, _ = enumerated.energies(name, terms)
    plan = plans.plan(enumerated.graph(name), 3)
    for beta in (0.0, 0.7):
        estimate = exact.log_partition(plan, terms, beta)
        np.testing.assert_allclose(estimate.log_partition, np.log(np.sum(np.exp(-beta * values))), rtol=1e-5)
        assert estimate.lower == estimate.upper == estimate.log_partition
        assert (estimate.standard_error, estimate.effective_samples) == (0, jnp.inf)
        assert estimate.result == CONVERGED
    assert exact.log_partition(plan, terms, jnp.inf).log_partition == jnp.inf


@pytest.mark.slow
def test_ground_states_are_counted():
    for name in ("loops", "several components", "loops of three states"):
        terms = enumerated.random_factors(name, seed=1, whole=True)
        values, _ = enumerated.energies(name, terms)
        count = np.sum(values == values.min())
        plan = plans.plan(enumerated.graph(name), GRAPHS[name][2])
        np.testing.assert_allclose(jnp.exp(exact.log_ground_states(plan, terms)), count, rtol=1e-4)
        # a least energy of zero makes Z the number of states that have it
        shifted = terms._replace(unary=np.concatenate([terms.unary[:1] - values.min(), terms.unary[1:]]))
        log_partition = exact.log_partition(plan, shifted, jnp.inf).log_partition
        np.testing.assert_allclose(log_partition, np.log(count), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_derivatives_in_beta():
    """Mean energy and heat capacity, by forward and by reverse mode, at every temperature."""
    name = "repeated edges"
    terms = jax.tree.map(jnp.asarray, enumerated.random_factors(name))
    values, _ = enumerated.energies(name, terms)
    plan = plans.plan(enumerated.graph(name), 3)
    of_beta = lambda beta: exact.free_energy(plan, terms, beta)
    betas = jnp.array([0.0, 1e-4, 0.3, 2.0, jnp.inf], terms.unary.dtype)
    slopes = jax.jit(jax.vmap(jax.grad(of_beta)))(betas)
    log_partition = lambda beta: exact.log_partition(plan, terms, beta).log_partition
    second = jax.jit(jax.vmap(jax.jacfwd(jax.grad(log_partition))))(betas[:-1])
    crossed = jax.jit(jax.vmap(jax.grad(jax.grad(log_partition))))(betas[:-1])
    for i, beta in enumerate(np.asarray(betas)):
        weights = enumerated.law(values, beta)
        mean = weights @ values
        if beta == 0:
            expected = -np.var(values) / 2
        else:
            expected = 0 if beta == np.inf else (mean - enumerated.free_energy(values, beta)) / beta
        np.testing.assert_allclose(slopes[i], expected, rtol=2e-3 if beta == 1e-4 else 1e-4, atol=1e-5)
        if beta < np.inf:
            variance = weights @ (values - mean) ** 2
            np.testing.assert_allclose([second[i], crossed[i]], [variance] * 2, rtol=1e-3)


@pytest.mark.slow
def test_forbidden_states():
    """The hard-core gas: neighbours are not both present. Sets without neighbours on a ring: a Lucas number of them."""
    units = 12
    ring = graphs.from_edges(units, [(i, (i + 1) % units) for i in range(units)])
    pair = np.zeros((units, 2, 2), np.float32)
    pair[:, 1, 1] = np.inf
    fugacity = np.tile(np.array([0.0, -1.0], np.float32), (units, 1))
    plan = plans.plan(ring)
    count = exact.log_partition(plan, Factors(0 * fugacity, pair), 1.0)
    np.testing.assert_allclose(jnp.exp(count.log_partition), 322, rtol=1e-5)
    of_all = exact.marginals(plan, Factors(fugacity, pair), 1.3)
    assert np.all(np.asarray(of_all.pair)[:, 1, 1] == 0)
    np.testing.assert_allclose(of_all.pair.sum((1, 2)), 1, rtol=1e-5)
    hot = exact.log_partition(plan, Factors(fugacity, pair), 0.0)
    assert exact.free_energy(plan, Factors(fugacity, pair), 0.0) == jnp.inf
    assert hot.result == DIVERGED
    np.testing.assert_allclose(exact.free_energy(plan, Factors(fugacity, pair), jnp.inf), -6, rtol=1e-6)
    np.testing.assert_allclose(jnp.exp(exact.log_ground_states(plan, Factors(fugacity, pair))), 2, rtol=1e-5)


@pytest.mark.slow
def test_transfer_matrix():
    """Periodic lattices, and their machine: at the critical temperature, and on both sides of it, with a field."""
    rows, columns = shape = (8, 8)
    params = ising.Params(jnp.array(1.0), jnp.array(0.1))
    params = ising.to_boltzmann(params, shape)
    plan = plans.plan(graphs.from_matrix(params.weights))
    terms = factors.machine(plan, params, SPINS)
    betas = jnp.array([0.2, ising.CRITICAL_BETA, 0.9])
    found = jax.jit(jax.vmap(lambda beta: exact.log_partition(plan, terms, beta).log_partition))(betas)
    truth = [problems.ising.transfer_matrix(rows, columns, float(beta), 0.1) for beta in betas]
    np.testing.assert_allclose(found, truth, rtol=2e-6)


def test_machines_of_bits():
    rng = np.random.default_rng(3)
    weights = np.triu(rng.standard_normal((6, 6)), 1) * (rng.random((6, 6)) < 0.6)
    params = factors.hopfield.Params(weights + weights.T, rng.standard_normal(6))
    plan = plans.plan(graphs.from_matrix(params.weights))
    for alphabet in (BITS, SPINS):
        every = np.array(list(itertools.product(alphabet, repeat=6)))
        values = -np.einsum("ni,ij,nj->n", every, params.weights, every) / 2 - every @ params.bias
        terms = factors.machine(plan, params, alphabet)
        found = exact.free_energy(plan, terms, 0.7)
        np.testing.assert_allclose(found, enumerated.free_energy(values, 0.7), rtol=1e-5)


@pytest.mark.slow
def test_gradient_through_a_machine():
    """d log Z / dW = beta <s sᵀ>, by the couplings on the plan's edges."""
    params = ising.to_boltzmann(ising.Params(jnp.array(0.5), jnp.array(0.2)), (3, 3))
    plan = plans.plan(graphs.from_matrix(params.weights))
    of_weights = lambda weights: (
        exact.log_partition(plan, factors.machine(plan, params._replace(weights=weights), SPINS), 0.6).log_partition
    )
    gradient = jax.jit(jax.grad(of_weights))(params.weights)
    pair = exact.marginals(plan, factors.machine(plan, params, SPINS), 0.6).pair
    correlation = jnp.einsum("eab,a,b->e", pair, jnp.array(SPINS), jnp.array(SPINS))
    one, other = plan.edges.T
    np.testing.assert_allclose(gradient[one, other], 0.6 * correlation, rtol=1e-4)


def test_many_couplings_at_once():
    name = "loops"
    plan = plans.plan(enumerated.graph(name))
    sets = [enumerated.random_factors(name, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *(jax.tree.map(jnp.asarray, each) for each in sets))
    found = jax.vmap(lambda terms: exact.free_energy(plan, terms, 1.5))(stacked)
    truth = [enumerated.free_energy(enumerated.energies(name, terms)[0], 1.5) for terms in sets]
    np.testing.assert_allclose(found, truth, rtol=1e-5)


def test_another_unit_of_energy():
    """Energies times a factor, beta divided by it: F is multiplied, in float32 too."""
    plan, terms = plans.plan(enumerated.graph("loops")), enumerated.random_factors("loops")
    terms = jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), terms)
    truth = exact.free_energy(plan, terms, 0.7)
    for unit in (1e-15, 1e15):
        scaled = exact.free_energy(plan, jax.tree.map(lambda array: array * unit, terms), 0.7 / unit)
        np.testing.assert_allclose(scaled / unit, truth, rtol=2e-6)


def test_wrong_factors_are_refused_by_name():
    plan, terms = plans.plan(enumerated.graph("loops")), enumerated.random_factors("loops")
    wrong = {
        "factors.unary": terms._replace(unary=terms.unary[:-1]),
        "factors.pair": terms._replace(pair=terms.pair[:, :1]),
    }
    for name, bad in wrong.items():
        with pytest.raises(ArgumentError, match=f"^{name}: got shape"):
            exact.free_energy(plan, bad, 1.0)
    spoiled = np.array(terms.pair)
    spoiled[2, 0, 1] = np.nan
    with pytest.raises(ArgumentError, match=r"^factors.pair: got NaN at \(2, 0, 1\)"):
        exact.free_energy(plan, terms._replace(pair=spoiled), 1.0)
    with pytest.raises(ArgumentError, match=r"^beta: got -1"):
        exact.free_energy(plan, terms, -1.0)
    # what is traced cannot be refused, and is reported
    for pair, beta in ((spoiled, 1.0), (terms.pair, -1.0)):
        traced = jax.jit(lambda pair, beta: exact.log_partition(plan, terms._replace(pair=pair), beta))(pair, beta)
        assert traced.result == DIVERGED
        assert np.isnan(traced.log_partition)
    with pytest.raises(ArgumentError, match=r"^plan: got a traced one"):
        jax.jit(exact.free_energy)(plan, terms, 1.0)
    with pytest.raises(ArgumentError, match=r"^params.weights: got a coupling \(0, 2\)"):
        factors.machine(plan, factors.hopfield.Params(1 - np.eye(6), np.zeros(6)), SPINS)
