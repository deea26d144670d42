"""Sweeps over some spins of a Boltzmann machine against the enumerated law of those spins given the clamped ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube
from ebmjax.energies import hopfield
from ebmjax.energies.clamp import clamp
from ebmjax.loops import repeat
from ebmjax.sample.special.single_site import sweep

CHAINS, SWEEPS = 4000, 30


def machine(units=6, seed=0):
    random = np.random.default_rng(seed)
    upper = np.triu(0.6 * random.normal(size=(units, units)), 1)
    return hopfield.Params(jnp.asarray(upper + upper.T, jnp.float32), jnp.asarray(random.normal(size=units) / 3, float))


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "sites"), [(0.7, None), (1.6, np.array([4, 1, 2]))])
def test_free_spins_have_the_law_given_the_clamped_ones(beta, sites):
    """One state of each of 4,000 chains: 21 moments, of which one is 4.5 errors off once in 7,000 runs."""
    params = machine()
    clamped = np.ones(6, bool)
    clamped[np.arange(6) if sites is None else sites] = False
    start = jnp.where(jnp.arange(6) % 2 == 0, 1.0, -1.0)
    kernel = sweep(params, beta, sites)
    run = lambda key: repeat(key, kernel, kernel.init(start), SWEEPS).positions
    states = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS)))
    assert (states[:, clamped] == np.asarray(start)[clamped]).all()
    drawn = states[:, ~clamped]
    law = posterior(clamp(partial(hopfield.energy, params), clamped, start), spin_cube(drawn.shape[1]), beta)
    first, second = np.triu_indices(drawn.shape[1], 1)
    moments = lambda spins: np.concatenate([spins, spins[:, first] * spins[:, second]], axis=1)
    exact = np.asarray(law) @ moments(np.asarray(spin_cube(drawn.shape[1]).points))
    error = moments(drawn).std(axis=0) / np.sqrt(CHAINS)
    assert np.abs((moments(drawn).mean(axis=0) - exact) / error).max() < 4.5


@pytest.mark.slow
def test_at_zero_temperature_the_energy_never_rises_and_ties_go_either_way():
    params = machine()
    kernel = sweep(params, jnp.inf)
    state = kernel.init(-jnp.sign(params.bias))
    heights = [hopfield.energy(params, state.position)]
    for key in jax.random.split(jax.random.key(0), 4):
        state, info = kernel.step(key, state)
        heights.append(hopfield.energy(params, state.position))
    assert (np.diff(np.array(heights)) <= 1e-6).all()
    assert float(info.changed) == 0
    alone = sweep(hopfield.Params(jnp.zeros((1, 1)), jnp.zeros(1)), jnp.inf)
    ends = jax.vmap(lambda key: alone.step(key, alone.init(jnp.ones(1)))[0].position)(
        jax.random.split(jax.random.key(1), 400)
    )
    assert 120 < int((ends > 0).sum()) < 280  # 8 standard deviations of 400 fair coins


def test_what_is_wrong_is_named():
    params = machine(3)
    with pytest.raises(ValueError, match=r"sites: got \[3\], wanted at least one index of 0 to 2"):
        sweep(params, 1.0, np.array([3]))
    with pytest.raises(ValueError, match=r"position: got shape \(2,\), wanted \(3,\)"):
        sweep(params, 1.0).init(jnp.ones(2))
    with pytest.raises(ValueError, match=r"position: got a unit of 0\.0, wanted -1 or 1"):
        sweep(params, 1.0).init(jnp.zeros(3))
    with pytest.raises(ValueError, match=r"weights: got a diagonal"):
        sweep(params._replace(weights=jnp.eye(3)), 1.0)
