"""Cubic lattices: the packed glass and the checkerboard against the enumerated law of 16 spins; replicas by pairs.

z-scores come from independent chains; each beyond 5 is a false alarm once in 1.7 million.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, random_bits, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import ising
from ebmjax.loops import trajectory
from ebmjax.sample.special import multispin_glass, words
from ebmjax.sample.special.checkerboard import checkerboard

SHAPE, UNITS, REPLICAS = (2, 2, 4), 16, 32
RANDOM = np.random.default_rng(3)
GLASS = ising.Params(jnp.asarray(0.7 * RANDOM.choice([-1.0, 1.0], (3, *SHAPE)), jnp.float32), jnp.zeros(()))
ANY = ising.Params(
    jnp.asarray(RANDOM.normal(size=(3, *SHAPE)), jnp.float32), jnp.asarray(RANDOM.normal(size=SHAPE), jnp.float32)
)


def packed(bits, precision, key, beta, draws):
    """Draws (replicas, draws, units) of one packed position."""
    start = multispin_glass.pack(jax.random.rademacher(key, (REPLICAS, *SHAPE), jnp.float32))
    kernel = multispin_glass.replicas(GLASS.coupling, beta, bits, precision)
    _, positions, _ = trajectory(key, kernel, start, draws)
    return jnp.swapaxes(jax.vmap(multispin_glass.unpack)(positions), 0, 1).reshape(REPLICAS, draws, UNITS)


def by_parts(key, beta, draws):
    """The same draws of `checkerboard`, with other couplings and with fields."""

    def one(key):
        start = ising.split(jax.random.rademacher(key, SHAPE, jnp.float32), 3)
        _, positions, _ = trajectory(key, checkerboard(ANY, beta, SHAPE), start, draws)
        return jax.vmap(ising.join)(positions).reshape(draws, UNITS)

    return jax.vmap(one)(jax.random.split(key, REPLICAS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "params"),
    [
        (partial(packed, random_bits.bits, 4), GLASS),  # with few digits, most of a threshold is rounded
        (by_parts, ANY),
    ],
    ids=["packed", "checkerboard"],
)
def test_cubic_lattices_have_the_enumerated_law(run, params):
    """All units, products and energies, of every replica, at three temperatures."""
    space = spin_cube(UNITS)
    energy = lambda spins: ising.energy(params, spins.reshape(SHAPE))
    edges = jnp.linspace(-22.05, 14.05, 9)  # between two energies of the glass
    moments = lambda spins: law_moments(spins, energy(spins), edges)
    table = jax.jit(jax.vmap(moments))(space.points)
    draws = jax.jit(lambda key, beta: run(key, beta, 1050)[:, 50:])
    scores = jax.jit(lambda draws, truth: z_scores(jax.vmap(jax.vmap(moments))(draws), truth))
    for beta in (0.0, 0.3, 0.8):
        truth = exact_mean(table, posterior(energy, space, beta))
        worst = np.asarray(scores(draws(jax.random.key(4), jnp.float32(beta)), truth))
        common = np.asarray((truth > 1e-3) | (jnp.arange(len(truth)) < len(truth) - len(edges) + 1))
        assert np.abs(worst[common]).max() < 5, (beta, np.abs(worst[common]).max())


@pytest.mark.slow
def test_replicas_of_a_word_are_independent():
    """The square of the overlap of two replicas, whose mean is Σ_ij <s_i s_j>² / N² where they share nothing.

    So are all pairs of one word: neighbouring bits, and bits that are far apart.
    """
    beta, space = 0.6, spin_cube(UNITS)
    law = posterior(lambda spins: ising.energy(GLASS, spins.reshape(SHAPE)), space, beta)
    products = (space.points * law[:, None]).T @ space.points
    run = lambda key: packed(random_bits.hashed, 8, key, beta, 300)[:, 50:]
    draws = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), 40))
    for apart in (1, 7, 16):
        overlaps = jnp.mean(draws * jnp.roll(draws, apart, axis=1), axis=-1)
        mean = np.asarray(jnp.mean(overlaps**2, axis=(1, 2)), np.float64)
        z = (mean.mean() - float(jnp.mean(products**2))) / (mean.std(ddof=1) / np.sqrt(len(mean)))
        assert abs(z) < 5, (apart, z)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4, 6, 8), (4, 6), (6,)])
def test_every_bond_is_known_at_zero_temperature(shape):
    """Each sublattice in turn follows the field of those before it; where it is zero, half of the spins are up."""
    axes = len(shape)
    coupling = np.random.default_rng(1).choice([-1.0, 1.0], (axes, *shape)).astype(np.float32)
    kernel = multispin_glass.replicas(coupling, jnp.inf)
    spins = jax.random.rademacher(jax.random.key(0), (REPLICAS, *shape), jnp.float32)
    swept = multispin_glass.unpack(kernel.step(jax.random.key(1), kernel.init(multispin_glass.pack(spins)))[0].position)
    field_of = jax.jit(jax.vmap(partial(ising.local_field, ising.Params(coupling, 0.0))))
    now, swept, up, ties = np.array(spins), np.asarray(swept), 0, 0
    place = np.ravel_multi_index(tuple(np.indices(shape) % 2), (2,) * axes)
    for index in ising.sublattices_in_turn(axes):
        field, here = np.asarray(field_of(now)), place == index
        new, field = swept[:, here], field[:, here]
        np.testing.assert_array_equal(new[field != 0], np.sign(field)[field != 0])
        up, ties = up + (new[field == 0] > 0).sum(), ties + (field == 0).sum()
        now[:, here] = new
    assert abs(up - ties / 2) < 5 * np.sqrt(ties) / 2


@pytest.mark.slow
def test_words_have_the_probability_of_their_threshold():
    random = random_bits.bits(jax.random.key(0), (4, 100_000))
    probabilities = [0.3, 0.01, 0.5]
    drawn = words.bernoulli(random, [words.threshold(jnp.float32(p), 3) for p in probabilities])
    for word, p in zip(drawn, probabilities, strict=True):
        shares = (words.unpack(word[None]) > 0).mean(axis=1)  # of each of 32 bits
        assert (jnp.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / 100_000)).all()
    assert ((drawn[1] & ~drawn[0]) == 0).mean() > 0.95  # one uniform for all thresholds, but for the rounding


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: multispin_glass.replicas(jnp.ones((3, 4, 4)), 1.0), r"coupling: got shape \(3, 4, 4\)"),
        (lambda: multispin_glass.replicas(jnp.ones((2, 4, 3)), 1.0), "wanted even sides"),
        (lambda: multispin_glass.replicas(jnp.ones((1, 4)).at[0, 1].set(0.5), 1.0), "coupling: got sizes from 0.5 to"),
        (lambda: multispin_glass.replicas(jnp.ones((1, 4)), -1.0), "beta: got -1"),
        (lambda: multispin_glass.replicas(jnp.ones((1, 4)), 1.0, precision=25), "precision: got 25"),
        (lambda: multispin_glass.pack(jnp.ones((31, 4))), "spins: got 31 replicas"),
        (lambda: multispin_glass.pack(jnp.zeros((32, 4))), "spins: got a unit of 0.0"),
        (
            lambda: multispin_glass.replicas(jnp.ones((1, 4)), 1.0).init(multispin_glass.pack(jnp.ones((32, 6)))),
            r"position: got parts of uint32 of shape \(3, 1\)",
        ),
    ],
)
def test_bad_glasses_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
