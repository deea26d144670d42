"""Every sampler against the enumerated law of ten units: units, products of two, and the energy's histogram.

A z-score beyond 5 in any of 63 moments of 60 cases happens by chance once in 460 runs of this file, were they normal.
"""

import importlib
import pkgutil
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube, posterior, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import hopfield
from ebmjax.loops import thinned, trajectory
from ebmjax.sample import gibbs, special
from ebmjax.types import BITS, SPINS
from tests.continuous import CONTINUOUS
from tests.kernels import ALL, KERNELS, UNITS, start

CHAINS, DRAWS, BURN_IN = 64, 600, 50
BINS = 8


@cache
def sampler(name, alphabet):
    """Compiled once for all temperatures: chains of draws."""
    example = KERNELS[name]

    def run(key, units, beta):
        kernel = thinned(example.make(beta, alphabet), example.thin)
        _, positions, _ = trajectory(key, kernel, example.position(units), BURN_IN + DRAWS)
        return jax.vmap(example.units)(positions)[BURN_IN:]

    return jax.jit(jax.vmap(run, (0, 0, None)))


@jax.jit
def scores(draws, params, points, law):
    energies = jax.vmap(partial(hopfield.energy, params))(points)
    order = jnp.argsort(energies)
    # edges at equal shares of the law, in the middle between two states, so that rounding moves nothing across
    cut = jnp.searchsorted(jnp.cumsum(law[order]), jnp.linspace(0, 1, BINS + 1)[1:-1])
    inner = (energies[order][cut] + energies[order][cut + 1]) / 2
    edges = jnp.concatenate([jnp.array([-jnp.inf]), inner, jnp.array([jnp.inf])])
    moments = lambda units: law_moments(units, hopfield.energy(params, units), edges)
    sampled = jax.vmap(jax.vmap(moments))(draws)
    truth = exact_mean(jax.vmap(moments)(points), law)
    return z_scores(sampled, truth)


@pytest.mark.slow
@pytest.mark.parametrize("alphabet", [SPINS, BITS], ids=["spins", "bits"])
@pytest.mark.parametrize("name", KERNELS)
def test_samplers_have_the_boltzmann_law(name, alphabet):
    example = KERNELS[name]
    space = (spin_cube if alphabet == SPINS else binary_cube)(UNITS)
    for beta in (0.0, 0.3, 1.7):
        keys = jax.random.split(jax.random.key(1), CHAINS)
        draws = sampler(name, alphabet)(keys, start(jax.random.key(2), CHAINS, alphabet), jnp.float32(beta))
        assert set(np.unique(draws)) == set(alphabet)
        law = posterior(partial(hopfield.energy, example.params), space, beta)
        z = np.asarray(scores(draws, example.params, space.points, law))
        assert len(z) == 10 + 45 + BINS
        assert np.abs(z).max() < 5, f"beta {beta}: the worst moment is {np.abs(z).max():.1f} standard errors off"


def test_every_sampler_is_compared_with_a_law():
    folders = [*importlib.import_module("ebmjax.sample").__path__, *special.__path__]
    modules = {module.name for module in pkgutil.iter_modules(folders) if not module.ispkg}
    # the law of an annealing changes while it runs, and six modules have no sampler
    no_law = {"annealing", "components", "gradient_state", "trees", "units", "warm_up", "words"}
    tests_of_their_own = {
        "adaptive_tempering",
        "checkerboard",
        "cluster",
        "isoenergetic",
        "multispin",
        "multispin_glass",
        "multispin_halo",
        "rescaled",  # with `warm_up`
        "restricted",
        "single_site",
    }
    compared = {example.module for example in [*KERNELS.values(), *CONTINUOUS.values()]}
    assert modules == compared | tests_of_their_own | no_law


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
def test_samplers_go_downhill_at_zero_temperature(name):
    example = KERNELS[name]
    if example.module in ("tempering", "informed"):
        pytest.skip("these have finite temperatures")
    kernel = thinned(example.make(jnp.inf, SPINS), example.thin)
    _, positions, _ = jax.jit(lambda key, units: trajectory(key, kernel, example.position(units), 40))(
        jax.random.key(0), start(jax.random.key(3), 1, SPINS)[0]
    )
    energies = jax.vmap(partial(hopfield.energy, example.params))(jax.vmap(example.units)(positions))
    assert (jnp.diff(energies) <= 1e-5).all()
    # a fixed point: no single flip lowers the energy
    last = jax.vmap(example.units)(positions)[-1]
    assert (hopfield.field(example.params, last) * last >= 0).all()


@pytest.mark.parametrize("name", KERNELS)
def test_samplers_refuse_a_negative_temperature(name):
    with pytest.raises(ValueError, match=r"betas?: got -"):
        KERNELS[name].make(-1.0, SPINS)


@pytest.mark.parametrize("name", ["systematic", "random_scan", "chromatic", "block", "dense"])
def test_samplers_refuse_units_outside_the_alphabet(name):
    with pytest.raises(ValueError, match=r"position: got a unit of 0\.5, wanted -1 or 1"):
        KERNELS[name].make(1.0, SPINS).init(KERNELS[name].position(jnp.full(UNITS, 0.5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gibbs.chromatic(_energy, 1.0, COLORED_WRONG).init(ONES),
            r"colors: got two units of colour 0 that interact",
        ),
        (lambda: gibbs.chromatic(_energy, 1.0, np.zeros(3, int)).init(ONES), r"colors: got shape \(3,\), wanted"),
        (
            lambda: gibbs.block(_pair_energy, 1.0, ((0, 1),)).init((ONES, ONES)),
            r"blocks: got layers \(0, 1\) with units",
        ),
        (lambda: gibbs.block(_pair_energy, 1.0, ((2,),)).init((ONES, ONES)), r"blocks: got \(\(2,\),\), wanted layers"),
        (lambda: gibbs.block(_pair_energy, 1.0, ((0,), (0,))), "each in one block at most"),
    ],
)
def test_units_drawn_together_must_not_interact(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_colouring_is_checked_under_jit_too_where_the_energy_is_known():
    with pytest.raises(ValueError, match="interact"):
        jax.jit(lambda units: gibbs.chromatic(_energy, 1.0, COLORED_WRONG).init(units).position)(ONES)
    # with traced parameters nothing can be checked, and nothing fails
    kernel = lambda params, units: gibbs.chromatic(partial(hopfield.energy, params), 1.0, COLORED_WRONG).init(units)
    jax.jit(kernel)(ALL, ONES)


ONES = jnp.ones(UNITS)
COLORED_WRONG = np.arange(UNITS) % 2
_energy = partial(hopfield.energy, ALL)


def _pair_energy(layers):
    return -layers[0] @ layers[1]
