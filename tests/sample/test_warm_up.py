"""Warm-up finds the step size and the units of known laws, and says where it does not."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import trajectory
from ebmjax.checks import ArgumentError
from ebmjax.sample import metropolis as walks
from ebmjax.sample import warm_up as module
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.langevin import mala
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.rescaled import rescaled
from ebmjax.sample.warm_up import acceptance_of, dense, diagonal, warm_up, windows
from ebmjax.types import CONVERGED, DIVERGED, Kernel

BETA = 0.7
SIZES = jnp.array([0.01, 0.1, 1.0, 10.0, 100.0])
RANDOM = np.random.default_rng(5)
FACTOR = jnp.asarray(np.tril(RANDOM.normal(size=(5, 5)), -1) + np.diag(RANDOM.uniform(0.1, 1, 5)), jnp.float32)
CHAINS = 4


def wide(x, sizes=SIZES):
    """Unknowns from 0.01 to 100 wide, of mean 3 sizes; at beta their deviations are sizes / √beta."""
    return jnp.sum(jnp.square(x / sizes - 3)) / 2


def milder(x):
    """From 0.2 to 5 wide, for kernels that move as far as a random walk."""
    return wide(x, SIZES**0.35)


def tilted(x):
    """Of covariance FACTOR FACTORᵀ / beta."""
    return jnp.sum(jnp.square(jax.scipy.linalg.solve_triangular(FACTOR, x, lower=True))) / 2


def hmc(energy, step_size):
    return hamiltonian(energy, BETA, step_size, 5)


def langevin(energy, step_size):
    return mala(energy, BETA, step_size)


def walk(energy, step_size):
    return metropolis(energy, BETA, gaussian_step(step_size))


def blackjax_hmc(energy, step_size):
    blackjax = pytest.importorskip("blackjax")
    return blackjax.hmc(lambda x: -BETA * energy(x), step_size, jnp.ones(5), 5)


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
@partial(jax.vmap, in_axes=(0, None, None, None, None, None))
def tried(key, energy, make_kernel, target, spread, steps):
    """What a warm-up has found, and a run of the kernel with it."""
    start_key, warm_key, run_key = jax.random.split(key, 3)
    start = jax.random.normal(start_key, (5,))
    found = warm_up(warm_key, energy, make_kernel, start, steps, target, spread)
    kernel = rescaled(lambda energy: make_kernel(energy, found.step_size), energy, found.scale)
    run = trajectory(run_key, kernel, found.position, 1000)
    return found, run.positions, acceptance_of(run.infos).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("energy", "make_kernel", "target", "spread"),
    [
        (wide, hmc, 0.8, diagonal()),
        (tilted, hmc, 0.8, dense()),
        (milder, langevin, 0.57, diagonal()),
        (milder, walk, 0.3, diagonal()),
        (wide, blackjax_hmc, 0.8, diagonal()),
    ],
    ids=["diagonal", "dense", "mala", "walk", "blackjax"],
)
def test_units_step_size_and_law(energy, make_kernel, target, spread):
    """Four chains: units near the deviations, the acceptance as wanted, and the moments of the law."""
    found, positions, acceptance = tried(
        jax.random.split(jax.random.key(0), CHAINS), energy, make_kernel, target, spread, 4000
    )
    assert (found.result == CONVERGED).all()
    np.testing.assert_allclose(acceptance, target, atol=0.15)
    np.testing.assert_allclose(acceptance.mean(), target, atol=0.1)
    sizes = np.asarray(SIZES) ** (0.35 if energy is milder else 1)
    factor = np.asarray(FACTOR) if energy is tilted else np.diag(sizes)
    covariance = factor @ factor.T / BETA
    deviations, scale = np.sqrt(np.diag(covariance)), np.asarray(found.scale)
    if energy is not tilted:
        assert np.all(np.abs(np.log(scale / deviations)) < 0.7)
    else:  # in the units that were found the law is nearly round
        whitened = np.linalg.inv(scale) @ covariance @ np.swapaxes(np.linalg.inv(scale), 1, 2)
        assert np.all(np.linalg.cond(whitened) < 3)
    away = (np.asarray(positions) - (0 if energy is tilted else 3 * sizes)) / deviations
    # 4,000 draws, as good as 100 independent ones or more: 5 standard errors of their means and variances
    assert np.all(np.abs(away.mean(axis=(0, 1))) < 0.5)
    assert np.all(np.abs(np.square(away).mean(axis=(0, 1)) - 1) < 0.7)


@pytest.mark.slow
def test_units_make_samples_many_times_as_good():
    """With the step size alone, the narrowest of unknowns of 0.01 to 100 leaves the widest where it began."""
    key = jax.random.split(jax.random.key(1), CHAINS)
    alone = module.Spread(lambda x: None, lambda moments, x: moments, jnp.ones_like, lambda moments, scale: scale)
    _, stuck, _ = tried(key, wide, hmc, 0.8, alone, 2000)
    _, free, _ = tried(key, wide, hmc, 0.8, diagonal(), 2000)
    spread = lambda positions: positions[:, :, 4].std(axis=1).mean()
    assert spread(stuck) < 0.05 * spread(free)


@pytest.mark.slow
def test_a_chain_that_cannot_move_says_so():
    """Every other position is forbidden. The step size shrinks until proposals no longer differ from the position."""
    closed = lambda x: jnp.where((x == 1).all(), jnp.sum(x), jnp.nan)
    found = warm_up(jax.random.key(0), closed, walk, jnp.ones(2), 200, 0.3)
    assert int(found.result) == DIVERGED
    flat = warm_up(jax.random.key(0), lambda x: 0 * jnp.sum(x), walk, jnp.ones(2), 200, 0.3)
    assert int(flat.result) != CONVERGED


@pytest.mark.slow
def test_an_energy_may_be_a_whole_number():
    steps = lambda x: jnp.sum(jnp.floor(jnp.abs(x))).astype(jnp.int32)
    assert int(warm_up(jax.random.key(0), steps, walk, jnp.ones(2), 500, 0.3).result) == CONVERGED


@pytest.mark.slow
def test_energies_that_hide_their_changes_are_said():
    """As many steps are accepted as was asked, but changes of 1 are lost in an energy of 6e16."""
    hidden = warm_up(jax.random.key(0), lambda x: jnp.sum(x**2) / 2 + 6e16, walk, jnp.ones(2), 200, 0.9)
    assert abs(hidden.acceptance - 0.9) < 0.15
    assert int(hidden.result) == DIVERGED


def test_windows_have_all_steps():
    for steps in (20, 21, 50, 99, 1000, 12345):
        plan = windows(steps)
        assert sum(length for length, _ in plan) == steps
        assert not plan[0][1]
        assert not plan[-1][1]
        assert all(renewed for _, renewed in plan[1:-1])


silent = Kernel(lambda x, rng_key=None: walks.State(x, jnp.zeros(())), lambda key, state: (state, None))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("steps", {"steps": 19}),
        ("target", {"target": 1.5}),
        ("position", {"spread": dense(), "position": jnp.zeros((2, 2))}),
        ("info", {"make_kernel": lambda energy, step_size: silent}),
    ],
)
def test_bad_input_is_refused_by_name(name, changed):
    right = {"energy": wide, "make_kernel": hmc, "position": jnp.zeros(5), "steps": 20}
    with pytest.raises(ArgumentError, match=rf"^{name}: "):
        warm_up(jax.random.key(0), **(right | changed))


def test_a_scale_that_does_not_fit_is_refused_by_name():
    make_kernel = partial(hmc, step_size=0.1)
    for scale in (jnp.ones(3), jnp.ones((3, 3)), {"a": jnp.ones(5)}):
        with pytest.raises(ArgumentError, match=r"^scale: "):
            rescaled(make_kernel, wide, scale).init(jnp.zeros(5))


@pytest.mark.parametrize("spread", [diagonal(), dense()], ids=["diagonal", "dense"])
def test_units_are_the_deviations_of_what_was_seen(spread):
    """Of 500 positions, mixed with 5 of the old units, which are 1 here."""
    positions = np.random.default_rng(1).normal(size=(500, 3)) @ np.array([[2.0, 0, 0], [1, 0.5, 0], [0, 0.3, 0.1]]).T
    moments = spread.init(jnp.zeros(3))
    update = jax.jit(spread.update)
    for position in positions:
        moments = update(moments, jnp.asarray(position, jnp.float32))
    scale = np.asarray(spread.scale(moments, spread.start(jnp.zeros(3))))
    covariance = np.cov(positions.T) * 500 / 505 + np.eye(3) * 5 / 505
    found, wanted = (scale @ scale.T, covariance) if scale.ndim == 2 else (scale**2, np.diag(covariance))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
