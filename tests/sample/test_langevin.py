"""Langevin samplers: the Hastings ratio by its definition, exact laws of the biased ones, divergence, pytrees."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.diagnostics import z_scores
from ebmjax.loops import trajectory
from ebmjax.sample import langevin
from ebmjax.sample.gradient_state import evaluate
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.trees import normal_like

BETA = 1.7


def well(x):
    """Two wells in each coordinate, one deeper; curvatures from -3 to 5."""
    return jnp.sum(x**2 / 2 + jnp.cos(2 * x) + x / 4)


def well_slope(x):
    return x - 2 * np.sin(2 * x) + 1 / 4


@pytest.mark.slow
def test_the_acceptance_of_mala_is_the_hastings_ratio(x64):
    step_size, old = 0.07, jnp.array([0.3, -0.8])
    kernel = langevin.mala(well, BETA, step_size)
    big = langevin.mala(lambda x: -1e6 * well(x), 0.0, step_size)
    key = jax.random.key(4)
    _, info = kernel.step(key, kernel.init(old))
    noise = normal_like(jax.random.split(key)[0], old)
    new = old - step_size * BETA * well_slope(old) + np.sqrt(2 * step_size) * noise
    log_q = lambda to, at: -jnp.sum((to - at + step_size * BETA * well_slope(at)) ** 2) / (4 * step_size)
    expected = BETA * (well(new) - well(old)) + log_q(new, old) - log_q(old, new)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(info.energy_error, expected, rtol=1e-9)
    # where nothing is at stake every move is accepted
    assert bool(big.step(key, big.init(old))[1].accepted)


@pytest.mark.slow
def test_mala_is_one_step_of_hamiltonian_dynamics(x64):
    start = jnp.array([0.3, -0.8])
    one = langevin.mala(well, BETA, 0.08)
    other = hamiltonian(well, BETA, 0.4, steps=1)
    _, path, info = trajectory(jax.random.key(0), one, start, 50)
    _, same, same_info = trajectory(jax.random.key(0), other, start, 50)
    np.testing.assert_allclose(path, same, rtol=1e-8)
    np.testing.assert_allclose(info.energy_error, same_info.energy_error, rtol=1e-6, atol=1e-10)
    assert 0 < info.accepted.mean() < 1


def test_mala_accepts_all_small_steps():
    run = jax.jit(
        lambda step: trajectory(jax.random.key(0), langevin.mala(well, BETA, step), jnp.full(2, 0.4), 400).infos
    )
    refused, error = [], []
    for step in (0.1, 0.01, 1e-3, 1e-5):
        info = run(jnp.float32(step))
        refused.append(float(1 - info.accepted.mean()))
        error.append(float(jnp.abs(info.energy_error).mean()))
    assert refused[0] > 0.02
    assert refused[-1] == 0
    # the error of the ratio is of order ε^(3/2): a tenth of the step is a 30th of the error
    assert error[1] / 10 > error[2]
    assert error[2] < 1e-3


def _stationary(kernel_matrix):
    """The law that a Markov chain on a grid, rows from, columns to, leaves alone."""
    kernel_matrix = kernel_matrix / kernel_matrix.sum(axis=1, keepdims=True)
    for _ in range(12):  # squared: 4096 steps
        kernel_matrix = kernel_matrix @ kernel_matrix
    return kernel_matrix[len(kernel_matrix) // 2]


GRID = np.linspace(-5.0, 5.0, 701)


def _normal(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def _moments_of_unadjusted(step_size):
    """By the transition density x' ~ N(x - ε beta E'(x), 2ε) of the discretized walk itself, on a grid."""
    moved = GRID - step_size * BETA * well_slope(GRID)
    law = _stationary(_normal(GRID[None, :], moved[:, None], 2 * step_size))
    return np.array([law @ GRID, law @ GRID**2, law @ GRID**4])


def _moments_of_underdamped(time_step):
    """BAOAB with a momentum that is forgotten at once: the point y between its two drifts is a Markov chain.

    x = y + h/2 ξ,  y' = 2x - y - h²/2 beta E'(x): the density of y' given y is that of ξ, over |dy'/dx|.
    """
    h = time_step
    fine = np.linspace(-8.0, 8.0, 16001)
    twice = 2 * fine - h**2 / 2 * BETA * well_slope(fine)  # y + y', rising with x
    assert (np.diff(twice) > 0).all()
    x = np.interp(GRID[:, None] + GRID[None, :], twice, fine)
    stretch = 2 - h**2 / 2 * BETA * (1 - 4 * np.cos(2 * x))
    law = _stationary(_normal(x, GRID[:, None], h**2 / 4) / stretch)
    x_law = law @ _normal(GRID[None, :], GRID[:, None], h**2 / 4)
    x_law /= x_law.sum()
    return np.array([x_law @ GRID, x_law @ GRID**2, x_law @ GRID**4])


def _boltzmann_moments():
    law = np.exp(-BETA * (GRID**2 / 2 + np.cos(2 * GRID) + GRID / 4))
    law /= law.sum()
    return np.array([law @ GRID, law @ GRID**2, law @ GRID**4])


def _scores(kernel, *truths):
    """z-scores of x, x² and x⁴ for 2,048 chains of 400 draws, 100 of them burnt."""
    starts = jnp.where(jax.random.bernoulli(jax.random.key(1), 0.6, (2048,)), -1.0, 1.0)
    run = lambda key, start: trajectory(key, kernel, start, 400).positions[100:]
    x = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 2048), starts)
    moments = jnp.stack([x, x**2, x**4], axis=-1)
    return [np.abs(z_scores(moments, jnp.float32(truth))) for truth in truths]


@pytest.mark.slow
def test_the_unadjusted_walk_has_its_own_exact_law():
    """6 moments in this test and the next: a z-score beyond 5 comes up once in 290,000 runs."""
    own, boltzmann = _scores(langevin.unadjusted(well, BETA, 0.08), _moments_of_unadjusted(0.08), _boltzmann_moments())
    assert own.max() < 5
    assert boltzmann.max() > 8


@pytest.mark.slow
def test_the_underdamped_walk_has_its_own_exact_law():
    kernel = langevin.underdamped(well, BETA, 0.6, friction=1e4)
    own, boltzmann = _scores(kernel, _moments_of_underdamped(0.6), _boltzmann_moments())
    assert own.max() < 5
    assert boltzmann.max() > 6


def test_the_bias_of_the_splitting_is_of_higher_order_than_that_of_the_walk():
    truth = _boltzmann_moments()[1:]
    walk = [np.abs(_moments_of_unadjusted(step)[1:] - truth) for step in (0.02, 0.01)]
    split = [np.abs(_moments_of_underdamped(step)[1:] - truth) for step in (0.4, 0.2)]
    assert ((walk[0] / walk[1] > 1.8) & (walk[0] / walk[1] < 2.3)).all()
    # at the same ε = h²/2 = 0.02 the splitting is the better one, and without memory even of fourth order
    assert (split[1] < walk[0] / 5).all()
    assert (split[0] / split[1] > 10).all()


@pytest.mark.slow
def test_without_friction_the_splitting_keeps_the_energy(x64):
    kernel = langevin.underdamped(well, BETA, 0.01, friction=0.0)
    first, _ = kernel.step(jax.random.key(0), kernel.init(jnp.array([0.4, 0.9])))
    step = lambda state, _: (kernel.step(jax.random.key(1), state)[0], state)
    _, states = jax.lax.scan(step, first, None, 2000)
    total = BETA * states.energy + (states.momentum**2).sum(axis=1) / 2
    assert float(jnp.ptp(states.energy)) > 0.1
    assert float(jnp.ptp(total)) < 1e-3


def cliff(x):
    """Not finite for x above 1."""
    return jnp.sum(jnp.where(x > 1, jnp.inf, x**2))


def pit(x):
    """Minus infinity for x above 1, with a slope of 0 there."""
    return jnp.sum(jnp.where(x > 1, -jnp.inf, x**2))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [
        langevin.mala(cliff, BETA, 0.5),
        hamiltonian(cliff, BETA, 0.7, 3),
        langevin.mala(pit, BETA, 0.5),
        hamiltonian(pit, BETA, 0.7, 1),
    ],
    ids=["mala", "hamiltonian", "mala into a pit", "hamiltonian into a pit"],
)
def test_a_divergence_is_refused_and_counted(kernel):
    _, path, info = trajectory(jax.random.key(0), kernel, jnp.array([0.9]), 200)
    assert info.diverged.any()
    assert not info.accepted[info.diverged].any()
    assert info.accepted.any()
    assert (path <= 1).all()


@pytest.mark.parametrize(
    "kernel",
    [langevin.unadjusted(lambda x: x**4, BETA, 0.5), langevin.underdamped(lambda x: x**4, BETA, 1.0, 1.0)],
    ids=["unadjusted", "underdamped"],
)
def test_a_divergence_that_cannot_be_refused_is_told(kernel):
    _, path, info = trajectory(jax.random.key(0), kernel, jnp.array(3.0), 30)
    assert info.diverged[-1]
    assert not info.diverged[0]
    assert not jnp.isfinite(path[-1])


def test_an_infinite_beta_that_is_traced_refuses_every_move():
    step = lambda beta: langevin.mala(well, beta, 0.1).step(jax.random.key(0), evaluate(well, jnp.full(2, 0.3)))
    state, info = jax.jit(step)(jnp.inf)
    assert info.diverged
    assert not info.accepted
    np.testing.assert_array_equal(state.position, jnp.full(2, 0.3))


KERNELS = {
    "unadjusted": langevin.unadjusted,
    "mala": langevin.mala,
    "underdamped": lambda energy, beta, step: langevin.underdamped(energy, beta, step, 1.0),
    "hamiltonian": lambda energy, beta, step: hamiltonian(energy, beta, step, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_positions_may_be_trees(name):
    """Two leaves of other shapes and dtypes; halves are computed with in float32."""
    energy = lambda tree: well(tree["a"]) + jnp.sum(tree["b"].astype(jnp.float32) ** 2)
    start = {"a": jnp.ones((2, 3)), "b": jnp.ones(4, jnp.bfloat16)}
    kernel = KERNELS[name](energy, BETA, 0.05)
    state, path, info = jax.jit(lambda key: trajectory(key, kernel, start, 20))(jax.random.key(0))
    assert state.position["b"].dtype == jnp.float32
    assert path["a"].shape == (20, 2, 3)
    assert not info.diverged.any()
    assert (state.position["b"] != start["b"].astype(jnp.float32)).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_a_sweep_compiles_once(name):
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(beta, step):
        kernel = KERNELS[name](well, beta, step)
        return trajectory(jax.random.key(0), kernel, jnp.full(2, 0.3), 5).positions

    ends = [run(jnp.float32(beta), jnp.float32(step)) for beta in (0.0, 0.5, 2.0) for step in (0.01, 0.1)]
    assert len({tuple(np.ravel(end)) for end in ends}) == 6
    swept = jax.vmap(lambda beta: run(beta, jnp.float32(0.1)))(jnp.array([0.0, 0.5, 2.0]))
    np.testing.assert_allclose(swept[1], ends[3], rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("step", [0.0, -0.1, np.nan, np.inf])
def test_step_sizes_are_positive(name, step):
    with pytest.raises(ValueError, match="step_size: got"):
        KERNELS[name](well, BETA, step)


def test_friction_is_not_negative():
    with pytest.raises(ValueError, match="friction: got"):
        langevin.underdamped(well, BETA, 0.1, -1.0)
