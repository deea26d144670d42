"""The leapfrog integrator: reversible, volume preserving, of second order; and what the kernel makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.loops import trajectory
from ebmjax.sample.gradient_state import evaluate
from ebmjax.sample.hamiltonian import hamiltonian, leapfrog

BETA = 1.7
POSITION, MOMENTUM = jnp.array([0.3, -0.8]), jnp.array([0.5, 1.1])


def energy(x):
    return x[0] ** 4 / 4 - x[0] / 2 + (x[1] - x[0] ** 2) ** 2


def _total(state, momentum):
    return BETA * state.energy + momentum @ momentum / 2


def _run(position, momentum, step_size, steps):
    return leapfrog(energy, BETA, step_size, steps, evaluate(energy, position), momentum)


def test_it_is_reversible(x64):
    position, momentum = POSITION.astype(float), MOMENTUM.astype(float)
    end, final = _run(position, momentum, 0.1, 30)
    assert jnp.abs(end.position - position).max() > 0.1
    back, turned = leapfrog(energy, BETA, 0.1, 30, end, -final)
    np.testing.assert_allclose(back.position, position, atol=1e-10)
    np.testing.assert_allclose(-turned, momentum, atol=1e-10)


@pytest.mark.slow
def test_it_preserves_volume(x64):
    def flow(both):
        end, final = _run(both[:2], both[2:], 0.15, 7)
        return jnp.concatenate([end.position, final])

    jacobian = jax.jacobian(flow)(jnp.concatenate([POSITION, MOMENTUM]).astype(float))
    np.testing.assert_allclose(jnp.linalg.det(jacobian), 1.0, rtol=1e-9)


def test_half_the_step_is_a_quarter_of_the_error(x64):
    position, momentum = POSITION.astype(float), MOMENTUM.astype(float)
    start = _total(evaluate(energy, position), momentum)
    errors = [abs(_total(*_run(position, momentum, 1.6 / steps, steps)) - start) for steps in (40, 80, 160)]
    ratios = [errors[0] / errors[1], errors[1] / errors[2]]
    assert errors[0] > 1e-6
    np.testing.assert_allclose(ratios, 4.0, rtol=0.05)


def test_the_error_that_decides_is_that_of_the_hamiltonian(x64):
    kernel, key = hamiltonian(energy, BETA, 0.3, 5), jax.random.key(7)
    start = kernel.init(POSITION.astype(float))
    _, info = kernel.step(key, start)
    momentum = jax.random.normal(jax.random.split(jax.random.split(key)[0], 1)[0], (2,))
    expected = _total(*leapfrog(energy, BETA, 0.3, 5, start, momentum)) - _total(start, momentum)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(info.energy_error, expected, rtol=1e-9)


@pytest.mark.slow
def test_the_mean_of_the_exponential_error_is_one():
    """⟨exp(-Δ)⟩ = 1 at equilibrium for any step size (Creutz 1988): 5 standard errors, once in 1.7 million runs."""
    kernel = hamiltonian(lambda x: jnp.sum(x**2) / 2, BETA, 0.9, 3)
    starts = jax.random.normal(jax.random.key(0), (20_000, 3)) / jnp.sqrt(BETA)
    step = lambda key, start: kernel.step(key, kernel.init(start))[1].energy_error
    ratio = jnp.exp(-jax.vmap(step)(jax.random.split(jax.random.key(1), 20_000), starts))
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / jnp.sqrt(20_000.0)
    assert ratio.std() > 0.05


@pytest.mark.slow
def test_the_hottest_law_is_a_straight_flight():
    kernel = hamiltonian(energy, 0.0, 0.5, 4)
    _, path, info = trajectory(jax.random.key(0), kernel, POSITION, 20)
    assert info.accepted.all()
    np.testing.assert_allclose(info.energy_error, 0, atol=1e-6)
    assert jnp.abs(path[-1] - POSITION).max() > 1


def test_steps_are_counted():
    with pytest.raises(ValueError, match="steps: got 0, wanted at least 1"):
        hamiltonian(energy, BETA, 0.1, 0)
