"""Densities of states against all states of small systems, and closed forms of lattices, at temperatures of both signs.

The statistical tests allow 5 standard errors, estimated from 32 walkers: by chance less than one of 50,000 numbers
fails (Student's law with 31 degrees of freedom).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems
from ebmjax.energies import ising, potts
from ebmjax.marginalize.density_of_states import models, multicanonical, thermal, walkers, wang_landau
from ebmjax.marginalize.elimination import exact, factors, graphs, plans
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP, NOT_MIXED

UNIFORM = ising.Params(jnp.array(1.0), jnp.array(0.0))
LEVELS = np.arange(-32.0, 33.0, 4.0)
WALKERS, LEARNING, SWEEPS = 32, 600, 800
SPINS = 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1).reshape(-1, 4, 4) - 1
ENERGIES = -(SPINS * np.roll(SPINS, 1, 1) + SPINS * np.roll(SPINS, 1, 2)).sum((1, 2))
BETAS = (-0.8, -0.3, 0.4, 1.0)


@pytest.fixture(scope="module")
def density():
    model = models.ising(UNIFORM, (4, 4))
    powers = lambda state: state.mean() ** jnp.array([2.0, 4.0])
    return multicanonical.density_of_states(jax.random.key(0), model, LEVELS, WALKERS, LEARNING, SWEEPS, powers)


@pytest.mark.slow
def test_a_run_in_pieces_is_the_run_in_one_call():
    model = models.ising(UNIFORM, (3, 3))
    levels, learning, sweeps = jnp.arange(-18.0, 19.0, 2.0), 60, 40
    observe = lambda state: state[:2]
    key = jax.random.key(3)
    whole = multicanonical.density_of_states(key, model, levels, 4, learning, sweeps, observe)

    def pieces(kernel, state, keys):
        for each in (keys[:7], keys[7:]):
            state, _ = jax.lax.scan(lambda state, key: kernel.step(key, state), state, each)
        return state

    learn_key, key = jax.random.split(key)
    start_key, learn_key = jax.random.split(learn_key)
    kernel = wang_landau.learning(model, levels)
    start = kernel.init(walkers.begun(start_key, model, 4))
    weights = wang_landau.learned(levels, pieces(kernel, start, jax.random.split(learn_key, learning)))
    first_key, key = jax.random.split(key)
    kernel = multicanonical.counting(model, weights, observe)
    first = pieces(kernel, kernel.init(weights.walkers), jax.random.split(first_key, sweeps // 10))
    last = pieces(kernel, multicanonical.recounted(first), jax.random.split(key, sweeps))
    jax.tree.map(np.testing.assert_array_equal, multicanonical.counted(model, weights, last), whole)
    with pytest.raises(ValueError, match=r"^state: "):
        multicanonical.counted(model, weights, jax.tree.map(lambda leaf: leaf[:3] if leaf.ndim == 2 else leaf, last))
    with pytest.raises(ValueError, match=r"^state: "):
        wang_landau.learned(levels[1:], start)


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_the_means_of_what_was_observed(density, beta):
    """<m²>, <m⁴> and the Binder ratio, whose error is smaller than those of its parts together would make it."""
    weights = np.exp(-beta * ENERGIES - (-beta * ENERGIES).max())
    weights /= weights.sum()
    size = SPINS.mean((1, 2))
    square, fourth = weights @ size**2, weights @ size**4
    found = thermal.mean_of(density, beta)
    assert (np.abs(found.value - np.array([square, fourth])) < 5 * np.asarray(found.standard_error) + 1e-6).all()
    assert (found.standard_error < 0.05).all()
    binder = thermal.mean_of(density, beta, lambda means: 1 - means[1] / (3 * means[0] ** 2))
    assert abs(binder.value - (1 - fourth / (3 * square**2))) < 5 * binder.standard_error + 1e-6
    assert binder.standard_error < 0.05 * (1 + abs(binder.value))
    with pytest.raises(ValueError, match=r"^density: "):
        thermal.mean_of(density._replace(observed=None), beta)


@pytest.mark.slow
def test_errors_of_observed_means_are_those_of_repetitions():
    """40 runs: a correlation of two spins, which varies among the states of one energy, and m², which is set by it.

    The standard deviation of the z-scores of 40 runs is known to a share of 0.11.
    """
    model = models.ising(UNIFORM, (4, 4))
    observe = lambda state: jnp.stack([state[0] * state[5], state.mean() ** 2])

    @jax.jit
    @jax.vmap
    def run(key):
        density = multicanonical.density_of_states(key, model, LEVELS, 16, 400, 400, observe)
        return jax.vmap(lambda beta: thermal.mean_of(density, beta))(jnp.array([-0.3, 0.3]))

    found = jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(6), 40)))
    observed = np.stack([SPINS[:, 0, 0] * SPINS[:, 1, 1], SPINS.mean((1, 2)) ** 2], 1)
    for number, beta in enumerate((-0.3, 0.3)):
        weights = np.exp(-beta * ENERGIES)
        z = (found.value[:, number] - (weights / weights.sum()) @ observed) / np.asarray(
            found.standard_error[:, number]
        )
        assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(40)).all()
        assert ((z.std(axis=0) > 0.6) & (z.std(axis=0) < 1.5)).all(), z.std(axis=0)


@pytest.mark.slow
def test_the_number_of_states_of_each_energy(density):
    """Of all 65,536 states of a lattice of 4 × 4."""
    numbers = np.array([(level == ENERGIES).sum() for level in LEVELS])
    assert int(density.result) == CONVERGED
    np.testing.assert_array_equal(np.isfinite(density.log_density), numbers > 0)
    some = numbers > 0
    gaps = np.asarray(density.log_density)[some] - np.log(numbers[some])
    assert (np.abs(gaps) < 5 * np.asarray(density.standard_error)[some]).all()
    assert density.standard_error[some].max() < 0.1
    np.testing.assert_allclose(jax.nn.logsumexp(density.log_density), 16 * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("beta", BETAS)
def test_every_temperature(density, beta):
    found = thermal.at(density, beta)
    weights = np.exp(-beta * ENERGIES - (-beta * ENERGIES).max())
    weights /= weights.sum()
    mean = weights @ ENERGIES
    variance = weights @ (ENERGIES - mean) ** 2
    exact = problems.transfer_matrix(4, 4, beta)
    assert abs(found.log_partition - exact) < 5 * found.log_partition_error < 0.5
    assert abs(found.mean_energy - mean) < 5 * found.mean_energy_error < 2
    assert abs(found.heat_capacity - beta**2 * variance) < 5 * found.heat_capacity_error < 3
    estimate = thermal.log_partition(density, beta)
    assert float(estimate.log_partition) == float(found.log_partition)
    law = thermal.energy_law(density, beta)
    np.testing.assert_allclose(law @ LEVELS, found.mean_energy, rtol=1e-4)


def test_it_is_exact_at_beta_zero_and_says_what_it_has_not_seen(density):
    hot = thermal.log_partition(density, 0.0)
    np.testing.assert_allclose([hot.log_partition, hot.standard_error], [16 * np.log(2), 0], atol=1e-4)
    one = jnp.zeros((WALKERS, len(LEVELS))).at[0].set(1.0)
    assert int(thermal.at(density._replace(shares=one), 0.5).result) == NO_OVERLAP
    assert int(thermal.at(density._replace(result=jnp.asarray(NOT_MIXED)), 0.5).result) == NOT_MIXED


def test_temperatures_are_differentiable_and_compile_once(density):
    axis = jax.vmap(lambda beta: thermal.at(density, beta))(jnp.array(BETAS))
    slopes = jax.vmap(jax.grad(lambda beta: thermal.log_partition(density, beta).log_partition))(jnp.array(BETAS))
    np.testing.assert_allclose(slopes, -axis.mean_energy, rtol=1e-4)


@pytest.mark.slow
def test_potts_states_of_a_graph_with_fields():
    """All 3^8 states of an open lattice of 2 × 4 with couplings and fields that are whole numbers."""
    edges = potts.lattice(2, 4, periodic=False)
    random = np.random.default_rng(1)
    coupling, field = random.integers(-2, 3, len(edges)), random.integers(-1, 2, (8, 3))
    params = potts.Params(jnp.asarray(coupling, jnp.float32), jnp.asarray(field, jnp.float32))
    states = (np.arange(3**8)[:, None] // 3 ** np.arange(8)) % 3
    energies = np.asarray(jax.vmap(lambda state: potts.energy(params, edges, state))(jnp.asarray(states)))
    levels = np.arange(energies.min() - 1, energies.max() + 2)
    model = models.potts(params, edges, 8)
    density = multicanonical.density_of_states(jax.random.key(2), model, levels, WALKERS, 1000, 2000)
    assert int(density.result) == CONVERGED
    for beta in (-0.7, 0.5, 2.0):
        found = thermal.at(density, beta)
        exact = np.log(np.exp(-beta * energies.astype(float)).sum())
        assert abs(found.log_partition - exact) < 5 * found.log_partition_error < 0.5


@pytest.mark.slow
def test_any_energy_and_the_lattice_have_the_same_law():
    """`general` evaluates the whole energy, and takes bins: of width 2 around continuous energies here."""
    random = np.random.default_rng(3)
    weights = random.normal(size=(8, 8))
    quadratic = jnp.asarray(weights + weights.T, jnp.float32)
    energy = lambda s: s @ quadratic @ s / 2
    states = 2.0 * ((np.arange(256)[:, None] >> np.arange(8)) & 1) - 1
    energies = np.einsum("si,ij,sj->s", states, np.asarray(quadratic), states) / 2
    levels = np.arange(np.floor(energies.min()), np.ceil(energies.max()) + 0.5, 0.5)
    model = models.general(energy, (-1, 1), 8)
    density = multicanonical.density_of_states(jax.random.key(4), model, levels, WALKERS, 1000, 2000)
    binned = levels[np.round((energies - levels[0]) / 0.5).astype(int)]
    for beta in (-0.3, 0.3):
        found = thermal.at(density, beta)
        exact = np.log(np.exp(-beta * binned).sum())
        assert abs(found.log_partition - exact) < 5 * found.log_partition_error < 0.5
        assert abs(found.log_partition - np.log(np.exp(-beta * energies).sum())) < 0.1  # bins cost little


@pytest.mark.slow
@pytest.mark.optimized
def test_errors_are_calibrated():
    """z-scores of 50 runs, at 6 temperatures: their standard deviation is between 0.8 and 1.3, the mean near 0.

    The runs are short: a walker makes two trips to either end in the mean. By chance the deviation leaves these bounds
    once in 500 numbers, of which there are 18 (Student's law with 31 degrees of freedom for each score); the seed is
    fixed.
    """
    model = models.ising(UNIFORM, (6, 6))
    levels = jnp.arange(-72.0, 73.0, 4.0)
    betas = jnp.array([-0.8, -0.4, -0.2, 0.2, 0.45, 0.8])

    def run(key):
        found = multicanonical.density_of_states(key, model, levels, WALKERS, 800, 250)
        return jax.vmap(lambda beta: thermal.at(found, beta))(betas), found.trips.mean(axis=0)

    axis, trips = jax.lax.map(run, jax.random.split(jax.random.key(7), 50))
    assert (axis.result == CONVERGED).mean() > 0.9
    assert trips.mean() < 4
    log_z = lambda beta, by: problems.transfer_matrix(6, 6, beta + by)
    step = 1e-3
    truths = np.array([[log_z(float(beta), by) for by in (-step, 0, step)] for beta in betas])
    energy = (truths[:, 0] - truths[:, 2]) / (2 * step)
    capacity = np.asarray(betas) ** 2 * (truths[:, 0] - 2 * truths[:, 1] + truths[:, 2]) / step**2
    for value, error, truth in (
        (axis.log_partition, axis.log_partition_error, truths[:, 1]),
        (axis.mean_energy, axis.mean_energy_error, energy),
        (axis.heat_capacity, axis.heat_capacity_error, capacity),
    ):
        scores = (np.asarray(value, np.float64) - truth) / np.asarray(error)
        assert (scores.std() > 0.8) & (scores.std() < 1.3)
        assert (np.abs(scores.mean(axis=0)) < 5 * 1.1 / np.sqrt(50)).all()


@pytest.mark.slow
def test_a_first_order_transition():
    """Potts, q = 10, on 4 × 4 open sites against elimination, through the transition near beta = 1.43 and beyond."""
    edges = potts.lattice(4, 4, periodic=False)
    params = potts.Params(jnp.array(1.0), jnp.zeros(10))
    model = models.potts(params, edges, 16)
    density = multicanonical.density_of_states(jax.random.key(5), model, np.arange(-24.0, 1.0), WALKERS, 1000, 2000)
    plan = plans.plan(graphs.from_edges(16, edges), states=10)
    terms = factors.potts(jnp.ones(len(edges)), jnp.zeros((16, 10)))
    assert int(density.result) == CONVERGED
    for beta in (0.5, 1.43, 3.0):
        found = thermal.log_partition(density, beta)
        assert abs(found.log_partition - exact.log_partition(plan, terms, beta).log_partition) < (
            5 * found.standard_error + 1e-3
        )


@pytest.mark.slow
def test_runs_that_are_too_short_say_so():
    """A few sweeps: Wang-Landau has not come to f = 1/t, and the walkers have been nowhere."""
    model = models.ising(UNIFORM, (4, 4))
    weights = wang_landau.wang_landau(jax.random.key(0), model, LEVELS, WALKERS, 12)
    assert int(weights.result) == NOT_MIXED
    flat = weights._replace(log_density=jnp.zeros_like(weights.log_density), seen=jnp.ones(len(LEVELS), bool))
    density = multicanonical.multicanonical(jax.random.key(1), model, flat, 12)
    assert int(density.result) == NOT_MIXED


@pytest.mark.slow
def test_few_walkers_raise_no_walls():
    """Eight walkers on 1,024 spins: after 150 sweeps log g has a range of less than N log 2, and no steep steps.

    Without a limit to the rise of a level in one sweep the range was 1,800 nats, with steps of 460.
    """
    model = models.ising(UNIFORM, (32, 32))
    weights = wang_landau.wang_landau(jax.random.key(11), model, np.arange(-1844.0, 241.0, 4.0), 8, 150)
    found = np.asarray(weights.log_density)[np.asarray(weights.seen)]
    assert np.isfinite(found).all()
    assert np.ptp(found) < 1024 * np.log(2)
    assert np.abs(np.diff(found)).max() < 20


@pytest.mark.slow
def test_energies_beyond_the_levels_say_so():
    model = models.ising(UNIFORM, (4, 4))
    weights = wang_landau.wang_landau(jax.random.key(0), model, LEVELS[:3], WALKERS, 12)
    assert int(weights.result) == DIVERGED
    assert int(multicanonical.multicanonical(jax.random.key(1), model, weights, 12).result) == DIVERGED


def test_bad_arguments_are_named():
    key, model = jax.random.key(0), models.ising(UNIFORM, (4, 4))
    weights = wang_landau.wang_landau(key, model, LEVELS, WALKERS, 12)
    for message, call in (
        ("levels: got distances", lambda: wang_landau.wang_landau(key, model, LEVELS[::-1], 4, 4)),
        ("levels: got distances", lambda: wang_landau.wang_landau(key, model, LEVELS**2, 4, 4)),
        ("levels: got 1", lambda: wang_landau.wang_landau(key, model, [1.0], 4, 4)),
        ("walkers: got 0", lambda: wang_landau.wang_landau(key, model, LEVELS, 0, 4)),
        ("sweeps: got 0", lambda: wang_landau.wang_landau(key, model, LEVELS, 4, 0)),
        ("walkers: got 1", lambda: multicanonical.density_of_states(key, model, LEVELS, 1, 4, 4)),
        ("sweeps: got 0", lambda: multicanonical.multicanonical(key, model, weights, 0)),
        ("weights: got", lambda: multicanonical.multicanonical(key, models.ising(UNIFORM, (4,)), weights, 4)),
        ("coupling: got shape", lambda: models.ising(ising.Params(jnp.ones((2, 3, 3)), jnp.zeros(())), (4, 4))),
        ("edges: got the unit 3", lambda: models.potts(potts.Params(jnp.ones(()), jnp.zeros(2)), [(0, 3)], 3)),
        ("values: got", lambda: models.general(lambda s: s.sum(), (1, 1), 3)),
        ("units: got 0", lambda: models.general(lambda s: s.sum(), (0, 1), 0)),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            call()


def test_bad_temperatures_are_named(density):
    for beta in (np.inf, np.nan, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"^beta: got"):
            thermal.at(density, beta)


def test_energies_do_not_drift():
    """Walkers carry their energies from visit to visit; those of the last positions are the same."""
    model = models.ising(ising.Params(jnp.full((2, 4, 4), 0.3), jnp.array(0.1)), (4, 4))
    levels = jnp.linspace(-12.0, 12.0, 25)
    start = walkers.begun(jax.random.key(0), model, 8)
    after, visited = walkers.sweep(jax.random.key(1), model, levels, jnp.zeros(25), start)
    np.testing.assert_allclose(visited[0], start.energies, rtol=1e-5)
    again, _ = walkers.sweep(jax.random.key(1), model, levels, jnp.zeros(25), start)
    np.testing.assert_array_equal(after.positions, again.positions)
    exact_energies = jax.vmap(
        lambda s: ising.energy(ising.Params(jnp.full((2, 4, 4), 0.3), jnp.array(0.1)), s.reshape(4, 4)), 1
    )
    np.testing.assert_allclose(after.energies, exact_energies(after.positions), rtol=1e-5, atol=1e-5)
