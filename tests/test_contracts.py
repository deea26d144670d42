"""What holds for every energy, minimizer and learner of the registry, and for every entry point."""

import importlib
import pkgutil

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.learn.train import train
from ebmjax.types import CONVERGED, RESULTS, STEP_LIMIT, Solution
from tests import registry
from tests.entry_points import ENTRY_POINTS


def test_every_energy_is_registered():
    modules = {module.name for module in pkgutil.iter_modules(importlib.import_module("ebmjax.energies").__path__)}
    assert modules == {example.module for example in registry.ENERGIES.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.ENERGIES)
def test_energies_are_finite_differentiable_scalars(name):
    params, energy, unknown = registry.ENERGIES[name].make(jax.random.key(0))
    value = jax.jit(energy)(params, unknown)
    assert value.shape == ()
    assert jnp.isfinite(value)
    np.testing.assert_allclose(value, energy(params, unknown), rtol=1e-5)
    slopes = jax.jit(jax.grad(energy, (0, 1)))(params, unknown)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    batch = jnp.stack([unknown, unknown + 0.1, unknown - 0.1])
    batched = jax.vmap(lambda z: energy(params, z))(batch)
    np.testing.assert_allclose(batched, [energy(params, z) for z in batch], rtol=1e-4, atol=1e-6)
    _, scanned = jax.lax.scan(lambda carry, z: (carry, energy(params, z)), None, batch)
    np.testing.assert_allclose(scanned, batched, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("name", registry.MINIMIZERS)
@pytest.mark.parametrize(
    "energy",
    [
        pytest.param(lambda z: (z - 0.3) ** 2, id="bowl"),
        pytest.param(lambda z: jnp.cos(2 * z) + 0.1 * jnp.sin(z), id="valleys"),
        pytest.param(lambda z: jnp.sin(z) ** 4, id="flat"),
        pytest.param(lambda z: jnp.abs(jnp.sin(z)), id="corner"),
    ],
)
def test_minimizers_never_raise_the_energy(name, energy):
    minimize = jax.jit(jax.vmap(lambda start: registry.MINIMIZERS[name](energy, start)))
    starts = jnp.linspace(-2.9, 2.9, 13)
    solution = minimize(starts)
    assert isinstance(solution, Solution)
    assert (solution.energy <= jax.vmap(energy)(starts) + 1e-6).all()
    np.testing.assert_allclose(solution.energy, jax.vmap(energy)(solution.value), atol=1e-6)
    assert set(np.unique(solution.result)) <= {CONVERGED, STEP_LIMIT}
    assert max(np.unique(solution.result)) < len(RESULTS)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("name", registry.MINIMIZERS)
def test_minimizers_differentiate_by_the_envelope_theorem(name):
    """d/dc min_z E(z, c) = ∂E/∂c at the minimum, through jit and vmap, without differentiating the loop."""
    least = lambda shift: registry.MINIMIZERS[name](lambda z: (jnp.sin(z) - shift) ** 2, jnp.array(0.5)).energy
    slopes = jax.jit(jax.vmap(jax.grad(least)))(jnp.array([1.5, 2.0]))
    np.testing.assert_allclose(slopes, [1.0, 2.0], rtol=1e-2)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("name", registry.LEARNERS)
def test_learners_train_under_jit_and_vmap(name):
    example = registry.LEARNERS[name]
    run = lambda key: train(key, example.learner, example.init(key), example.data, batch_size=8, epochs=30)
    trained = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 3))
    assert trained.metrics.finite.all()
    loss = getattr(trained.metrics.learner, example.lowered).reshape(3, -1)
    assert (loss[:, -9:].mean(axis=1) < loss[:, :9].mean(axis=1)).all()
    alone = jax.jit(run)(jax.random.split(jax.random.key(0), 3)[1])
    for together, single in zip(jax.tree.leaves(trained.params), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(together[1], single, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_lower_for_every_platform(name):
    function, arguments = ENTRY_POINTS[name]
    exported = jax.export.export(jax.jit(function), platforms=("cpu", "cuda", "tpu"))(*arguments)
    assert exported.platforms == ("cpu", "cuda", "tpu")
