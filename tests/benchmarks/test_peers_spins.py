"""The peers of the group `spins` sample the law they are asked for, and learn: a slow or wrong peer proves nothing.

Chains are independent. Each comparison fails at |z| > 5, by chance once in a million; keys are fixed.
"""

import functools
import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import pictures
from benchmarks.peers import c_ising, naive_boltzmann

compiler = pytest.mark.skipif(not c_ising.available(), reason="no C compiler")


UNIFORM = np.ones((2, 1, 1))


def states():
    """All 4 × 4 lattices."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=16)), np.float32).reshape(-1, 4, 4)


def moments(spins, coupling=UNIFORM):
    """Energy, and magnetization squared, of each lattice."""
    spins = np.asarray(spins, np.float64)
    energy = -sum((coupling[axis] * spins * np.roll(spins, -1, axis + 1)).sum((1, 2)) for axis in range(2))
    return np.stack([energy, spins.sum((1, 2)) ** 2])


def exact(beta, coupling=UNIFORM):
    values = moments(states(), coupling)
    weights = np.exp(-beta * (values[0] - values[0].min()))
    return values @ weights / weights.sum()


def assert_law(spins, beta, coupling=UNIFORM):
    """Moments of independent draws, against enumeration."""
    values = moments(spins, coupling)
    z = (values.mean(1) - exact(beta, coupling)) / (values.std(1) / np.sqrt(len(spins)))
    assert np.abs(z).max() < 5, f"z = {z} at beta = {beta}"


def kaufman(rows, columns, beta):
    """Exact mean energy per spin of a finite periodic lattice: Kaufman (1949), by a difference quotient of log Z."""

    def log_partition(beta):
        angles = np.arange(2 * columns) * np.pi / columns
        gamma = np.arccosh(np.cosh(2 * beta) / np.tanh(2 * beta) - np.cos(angles))
        gamma[0] = 2 * beta + np.log(np.tanh(beta))
        terms = []
        for part in (gamma[1::2], gamma[::2]):
            half = np.abs(part) * rows / 2
            terms += [(half + np.log1p(np.exp(-2 * half))).sum(), (half + np.log1p(-np.exp(-2 * half))).sum()]
        signs = np.array([1, 1, 1, np.sign(gamma[0])])
        largest = max(terms)
        total = np.log(signs @ np.exp(np.array(terms) - largest)) + largest
        return rows * columns / 2 * np.log(2 * np.sinh(2 * beta)) + total - np.log(2)

    return -(log_partition(beta + 1e-4) - log_partition(beta - 1e-4)) / 2e-4 / (rows * columns)


def test_kaufman_is_enumeration():
    assert kaufman(4, 4, 0.3) == pytest.approx(exact(0.3)[0] / 16, abs=1e-6)
    assert kaufman(4, 4, 0.44) == pytest.approx(exact(0.44)[0] / 16, abs=1e-6)


@compiler
@pytest.mark.parametrize("beta", [0.3, 0.44])
def test_c_chains(beta):
    model = c_ising.Ising((4, 4), 1 << 16, beta, seed=1, hot=True)
    energy = model.run(200)
    spins = model.spins()
    assert energy == pytest.approx(moments(spins)[0].mean() / 16)
    assert_law(spins, beta)


@compiler
@pytest.mark.parametrize("beta", [0.3, 0.42])
def test_c_strips(beta):
    """200 runs of a 128 × 16 lattice, whose rows are two to a strip."""
    lattices = [c_ising.Ising((128, 16), None, beta, seed, hot=True) for seed in range(200)]
    energies = [lattice.run(2000) for lattice in lattices]
    assert energies[0] == pytest.approx(moments(lattices[0].spins())[0, 0] / (128 * 16))
    z = (np.mean(energies) - kaufman(128, 16, beta)) / (np.std(energies) / np.sqrt(200))
    assert abs(z) < 5, f"z = {z}"


@compiler
def test_c_mean_of_a_run():
    for energy in (c_ising.sweeps_lattice(128, 0.3, 2000, seed=3), c_ising.sweeps_chains(64, 16, 0.3, 2000, seed=4)):
        assert energy == pytest.approx(kaufman(16, 16, 0.3), abs=5e-3)


@compiler
def test_c_refuses_what_does_not_fit_in_words():
    with pytest.raises(ValueError, match="multiple of 128"):
        c_ising.Ising((64, 64), None, 0.3, 0)
    with pytest.raises(ValueError, match="chains, shape: got 32 chains"):
        c_ising.Ising((64, 64), 32, 0.3, 0)


def couplings(kind):
    return np.ones((2, 4, 4), np.float32) if kind == "uniform" else np.random.default_rng(5).normal(size=(2, 4, 4))


@pytest.mark.parametrize("kind", ["uniform", "a coupling a bond"])
def test_thrml(kind):
    """beta = 0.6: were it multiplied in twice, the energy would be off by many standard errors."""
    pytest.importorskip("thrml")
    module = importlib.import_module("benchmarks.peers.thrml_ising")
    coupling, beta, chains = couplings(kind), 0.6 if kind != "uniform" else 0.3, 1 << 13
    start_key, key = jax.random.split(jax.random.key(0))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        sweep, lattice = module.sampler(coupling, beta, 40)
        start = jax.vmap(lambda key: module.start(key, 16))(jax.random.split(start_key, chains))
        end = jax.jit(jax.vmap(sweep))(jax.random.split(key, chains), start)
        assert_law(jax.vmap(lattice)(end), beta, coupling)


@pytest.mark.slow
def test_plain_lattice():
    coupling, beta, chains = jnp.asarray(couplings("a coupling a bond"), jnp.float32), 0.6, 1 << 13
    start_key, key = jax.random.split(jax.random.key(1))
    start = jax.random.rademacher(start_key, (chains, 4, 4), jnp.float32)
    run = functools.partial(naive_boltzmann.ising_sweeps, coupling, beta, sweeps=40)
    end = jax.jit(jax.vmap(run))(jax.random.split(key, chains), start)
    assert_law(end, beta, np.asarray(coupling))


@pytest.mark.slow
def test_plain_dense():
    """The couplings of a lattice as a matrix: the same law."""
    coupling, beta, chains = couplings("a coupling a bond"), 0.6, 1 << 13
    sites = np.arange(16).reshape(4, 4)
    weights = np.zeros((16, 16), np.float32)
    for axis in range(2):
        np.add.at(weights, (sites.ravel(), np.roll(sites, -1, axis).ravel()), coupling[axis].ravel())
    run = naive_boltzmann.dense_sweeps(jnp.asarray(weights + weights.T), jnp.zeros(16), beta, 40)
    start_key, key = jax.random.split(jax.random.key(2))
    start = jax.random.rademacher(start_key, (chains, 16), jnp.float32)
    end = jax.jit(jax.vmap(run))(jax.random.split(key, chains), start)
    assert_law(np.asarray(end).reshape(-1, 4, 4), beta, coupling)


@pytest.mark.slow
def test_python_tempering():
    """Blocks of ten sweeps are taken as independent; the end of a 4 × 4 ladder from 0.2 to 0.5."""
    betas = np.array([0.2, 0.35, 0.5])
    model = naive_boltzmann.Tempering(jnp.ones((2, 4, 4)), betas, seed=0)
    energies = np.stack([model.run(10) for _ in range(100)])
    wanted = np.array([exact(beta)[0] for beta in betas])
    z = (energies.mean(0) - wanted) / (energies.std(0) / 10)
    assert np.abs(z).max() < 5, f"z = {z}"


def bars(count):
    """Pictures of 4 × 4 in which whole rows are on or off."""
    on = np.random.default_rng(0).random((count, 4, 1)) < 0.5
    return np.broadcast_to(on, (count, 4, 4)).reshape(count, 16).astype(np.float32)


def independent(images):
    """The pseudo-likelihood of the best model without couplings."""
    mean = images.mean(0)
    return 16 * (mean * np.log(mean) + (1 - mean) * np.log(1 - mean)).mean()


def test_sklearn_learns_rows():
    pytest.importorskip("sklearn")
    module = importlib.import_module("benchmarks.peers.sklearn_rbm")
    images = bars(2000)
    for dtype in (np.float32, np.float64):
        params = module.fit(images.astype(dtype), hidden=16, rate=0.1, epochs=20)
        assert {part.dtype for part in params} == {np.dtype(dtype)}
        assert pictures.pseudo_likelihood(params, images) > independent(images) / 2


def test_torch_learns_rows():
    pytest.importorskip("torch")
    module = importlib.import_module("benchmarks.peers.torch_rbm")
    images = bars(2050)  # the last batch is a half one
    weights = np.random.default_rng(1).normal(0, 0.01, (16, 16)).astype(np.float32)
    first = (weights, np.zeros(16, np.float32), np.zeros(16, np.float32))
    assert pictures.pseudo_likelihood(first, images) == pytest.approx(-16 * np.log(2), abs=0.1)
    params = module.fit(first, 0.1, 100, images, 20)
    assert pictures.pseudo_likelihood(params, images) > independent(images) / 2


def test_pseudo_likelihood_by_hand():
    """One hidden unit, one picture: log σ(F(flipped) - F(v)) for whichever pixel was drawn."""
    weights, visible, hidden = np.array([[0.5], [-1.0]]), np.array([0.3, -0.2]), np.array([0.1])
    free = lambda v: -v @ visible - np.log1p(np.exp(hidden + v @ weights)).sum()
    v = np.array([1.0, 0.0])
    flipped = np.array([[0.0, 0.0], [1.0, 1.0]])
    wanted = [-2 * np.log1p(np.exp(free(v) - free(other))) for other in flipped]
    assert pictures.pseudo_likelihood((weights, visible, hidden), v[None]) in [pytest.approx(value) for value in wanted]


def test_synthetic_pictures(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.delenv("EBMJAX_DATA", raising=False)
    images = pictures.load(100)
    assert (images.shape, images.dtype) == ((100, 784), np.float32)
    assert set(np.unique(images)) == {0.0, 1.0}
    assert 0.05 < images.mean() < 0.5
    assert "scikit-learn" in pictures.source()
    np.testing.assert_array_equal(images, pictures.load(100))
