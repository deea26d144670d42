"""What a user hands to a sampler of spins: other dtypes, other units, zero temperature, ties, forbidden states."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import hopfield, ising
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.loops import repeat, trajectory
from ebmjax.sample import gibbs, metropolis, tempering
from ebmjax.sample.special import checkerboard, dense, multispin, restricted, single_site
from ebmjax.types import BITS, SPINS

PAIR = hopfield.Params(jnp.array([[0.0, 0.7], [0.7, 0.0]]), jnp.array([0.2, -0.1]))
FIELD = hopfield.Params(jnp.zeros((2, 2)), jnp.array([1e-3, -1e-3]))
MACHINE = rbm.Params(jnp.ones((4, 3)) / 3, jnp.zeros(4), jnp.zeros(3))


@pytest.mark.slow
def test_integers_of_a_lattice_are_computed_with_as_floats():
    """beta was cast to the dtype of the field, and int(0.6) is 0."""
    runs = []
    for params in (ising.Params(1.0, 0), ising.Params(np.int8(1), np.int32(0)), ising.Params(1.0, 0.0)):
        kernel = checkerboard.checkerboard(params, 0.6, (16, 16))
        start = kernel.init(ising.split(jnp.ones((16, 16), jnp.int8)))
        runs.append(ising.join(repeat(jax.random.key(0), kernel, start, 50).positions))
    assert runs[0].mean() > 0.8
    np.testing.assert_array_equal(runs[0], runs[2])
    np.testing.assert_array_equal(runs[1], runs[2])


KERNELS = {
    "systematic": (lambda: gibbs.systematic(partial(hopfield.energy, PAIR), 0.9), (2,)),
    "random_scan": (lambda: gibbs.random_scan(partial(hopfield.energy, PAIR), 0.9), (2,)),
    "chromatic": (lambda: gibbs.chromatic(partial(hopfield.energy, PAIR), 0.9, np.array([0, 1])), (2,)),
    "metropolis": (lambda: metropolis.metropolis(partial(hopfield.energy, PAIR), 0.9, metropolis.flip_one), (2,)),
    "dense": (lambda: dense.dense(PAIR, 0.9), (2, 3)),
    "single_site": (lambda: single_site.sweep(PAIR, 0.9), (2,)),
    "tempering": (
        lambda: tempering.tempering(
            partial(hopfield.energy, PAIR), partial(gibbs.systematic, partial(hopfield.energy, PAIR)), [0.0, 0.9]
        ),
        (2, 2),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float16, np.float64, ">f4"])
def test_spins_of_any_dtype_walk_alike(name, dtype):
    make, shape = KERNELS[name]
    spins = np.where(np.arange(np.prod(shape)).reshape(shape) % 2, 1.0, -1.0)
    ends = []
    for start in (spins.astype(dtype), jnp.asarray(spins, jnp.float32)):
        kernel = make()
        state, _ = kernel.step(jax.random.key(3), kernel.init(start))
        ends.append(state.position)
    assert ends[0].dtype == jnp.float32
    np.testing.assert_array_equal(*ends)


def test_bytes_of_pictures_are_states_of_a_restricted_machine():
    pair = (np.array([1, 0, 1, 1], np.uint8), np.array([True, False, True]))
    kernel = restricted.binary(MACHINE, 1.3)
    of_bytes = trajectory(jax.random.key(0), kernel, pair, 5).positions
    floats = tuple(jnp.asarray(part, jnp.float32) for part in pair)
    jax.tree.map(np.testing.assert_array_equal, of_bytes, trajectory(jax.random.key(0), kernel, floats, 5).positions)


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize("traced", [False, True])
def test_no_spin_turns_against_its_field_at_zero_temperature(traced):
    """Of 2^26 draws each, at fields that are small in any unit; the last uniform number was 1 once in 2^24."""

    def against(beta, key):
        lattice = checkerboard.checkerboard(ising.Params(jnp.array(0.0), jnp.array(1e-6)), beta, (2048, 2048))
        start = tuple(jnp.ones((1024, 1024)) for _ in range(4))
        wrong = sum((part < 0).sum() for part in lattice.step(key, gibbs.State(start))[0].position)
        drawn = gibbs.draw(key, jnp.full(2**22, -1e-9), beta, SPINS)
        return wrong + (drawn > 0).sum()

    count = jax.jit(against) if traced else lambda beta, key: jax.jit(partial(against, np.inf))(key)
    assert sum(int(count(jnp.inf, jax.random.key(i))) for i in range(16)) == 0
    for make in (dense.dense, single_site.sweep):
        kernel = make(FIELD, jnp.inf)
        start = -jnp.sign(FIELD.bias)
        state = kernel.init(jnp.stack([start] * 1000, axis=1) if make is dense.dense else start)
        spins = kernel.step(jax.random.key(1), state)[0].position
        assert (spins.reshape(2, -1) == jnp.sign(FIELD.bias)[:, None]).all()
    opposite = multispin.chains(-1.0, jnp.inf)
    board = jnp.broadcast_to(jnp.asarray(ising.checkerboard_colors((4, 4)) * 2.0 - 1), (32, 4, 4))
    walked = repeat(jax.random.key(0), opposite, opposite.init(multispin.pack_chains(board)), 50).positions
    assert (multispin.unpack_chains(walked) == board).all()


@pytest.mark.slow
@pytest.mark.optimized
def test_rare_spins_are_as_rare_as_they_should_be():
    """σ(-17) = 4.1e-8 at both ends: 11 of 2^28 draws, where 23 bits would give 0 or 32."""
    count = jax.jit(
        lambda key, gap: (
            gibbs.draw(key, jnp.full(2**22, gap), 1.0, BITS) != jnp.where(gap > 0, 1, 0).astype(float)
        ).sum()
    )
    for gap in (-17.0, 17.0):
        assert 1 <= sum(int(count(jax.random.key(i), jnp.float32(gap))) for i in range(64)) < 30


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, True])
def test_ties_are_decided_by_a_coin_also_where_they_are_rounded(traced):
    """At exact ties of integers, which the weights divide by 51."""
    random = np.random.default_rng(1)
    patterns = random.choice([-1.0, 1.0], size=(3, 51))
    params = hopfield.hebbian(jnp.asarray(patterns, jnp.float32))
    whole = np.round(np.asarray(params.weights, float) * 51)
    shares = []
    while len(shares) < 6:
        spins = random.choice([-1.0, 1.0], 51)
        ties = np.nonzero(whole @ spins == 0)[0]
        if not len(ties):
            continue
        site, start = ties[0], jnp.asarray(spins, jnp.float32)
        keys = jax.random.split(jax.random.key(0), 400)

        def up(beta, key, site=site, start=start):
            return single_site.sweep(params, beta, np.array([site])).step(key, gibbs.State(start))[0].position[site] > 0

        beta = jnp.float32(jnp.inf) if traced else np.inf
        draws = jax.jit(jax.vmap(up, (None, 0)))(beta, keys) if traced else jax.vmap(partial(up, beta))(keys)
        shares.append(float(draws.mean()))
    assert np.abs(np.array(shares) - 0.5).max() < 5 * 0.5 / 20


@pytest.mark.parametrize("unit", [1e-18, 1e-5, 1.0, 1e9])
def test_units_of_a_colour_that_interact_are_refused_in_any_unit(unit):
    meeting = lambda s: -unit * s[0] * s[1]
    with pytest.raises(ValueError, match="colors: got two units of colour 0 that interact"):
        gibbs.chromatic(meeting, 1 / unit, np.array([0, 0])).init(jnp.ones(2))
    gibbs.chromatic(meeting, 1 / unit, np.array([0, 1])).init(jnp.ones(2))


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.7, jnp.inf])
def test_what_is_forbidden_is_not_taken_and_where_it_starts_is_said(beta):
    energy = lambda s: jnp.where(s[0] > 0, jnp.inf, -0.3 * s.sum())
    kernel = gibbs.systematic(energy, beta)
    with pytest.raises(ValueError, match="position: got an energy of inf"):
        kernel.init(jnp.ones(3))
    run = jax.jit(lambda start: trajectory(jax.random.key(0), kernel, start, 50))(jnp.ones(3))
    assert (run.positions[:, 0] == -1).all()
    assert not run.infos.forbidden.any()
    nowhere = gibbs.systematic(lambda s: jnp.nan * s.sum(), beta)
    assert jax.jit(lambda start: trajectory(jax.random.key(0), nowhere, start, 5))(jnp.ones(3)).infos.forbidden.all()


def test_a_ladder_to_zero_temperature_is_tuned():
    betas = np.asarray(tempering.tune_ladder(np.array([0, 1, 2, np.inf]), [0.9, 0.5, 0.7]))
    assert betas[0] == 0
    assert betas[-1] == np.inf
    assert np.isfinite(betas[:-1]).all()
    assert (np.diff(betas[:-1]) > 0).all()
    falling = np.asarray(tempering.tune_ladder(np.array([np.inf, 2, 1, 0]), [0.7, 0.5, 0.9]))
    np.testing.assert_allclose(falling[::-1][:-1], betas[:-1], rtol=1e-5)


def test_old_keys_and_wrong_records_are_named():
    """Here by the tests' own type checks where they come first, elsewhere by the library's."""
    kernel = gibbs.systematic(lambda s: -s.sum(), 1.0)
    with pytest.raises(Exception, match="rng_key"):
        kernel.step(jax.random.PRNGKey(0), kernel.init(jnp.ones(2)))
    with pytest.raises(Exception, match="energy"):
        gibbs.systematic(1.0, lambda s: s)
    with pytest.raises(Exception, match="params"):
        single_site.sweep({"weights": PAIR.weights, "bias": PAIR.bias}, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [dense.dense, single_site.sweep, lambda p, beta: gibbs.systematic(partial(hopfield.energy, p), beta)]
)
def test_double_precision_stays_double(x64, make):
    params = hopfield.Params(*(jnp.asarray(np.asarray(leaf), float) for leaf in PAIR))
    for beta in (np.float32(0.7), 0.7, jnp.inf):
        kernel = make(params, beta)
        start = jnp.ones((2, 3) if make is dense.dense else 2)
        assert kernel.step(jax.random.key(0), kernel.init(start))[0].position.dtype == jnp.float64


@pytest.mark.parametrize("beta", [-1.0, float("nan")])
def test_a_heat_bath_refuses_what_is_no_inverse_temperature(beta):
    with pytest.raises(ValueError, match="beta: got"):
        gibbs.heat_bath(jnp.array([0.2]), jnp.zeros(1), beta, SPINS)
