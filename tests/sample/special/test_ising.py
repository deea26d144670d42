"""Samplers of the Ising lattice against transfer matrices, Onsager's closed forms, and enumerated lattices.

z-scores come from independent chains; each beyond 5 is a false alarm once in 1.7 million.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, problems, random_bits, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import ising
from ebmjax.loops import repeat, trajectory
from ebmjax.sample import gibbs
from ebmjax.sample.special import multispin
from ebmjax.sample.special.checkerboard import checkerboard

GENERATORS = [random_bits.bits, random_bits.hashed]


def uniform(coupling=1.0, field=0.0):
    return ising.Params(jnp.array(coupling), jnp.array(field))


def z(values, truth):
    """How many standard errors the mean of independent chains is off."""
    values = np.asarray(values, np.float64)
    return (values.mean() - truth) / (values.std(ddof=1) / np.sqrt(len(values)))


def slope(function, at, step=1e-4):
    return (function(at + step) - function(at - step)) / (2 * step)


@pytest.mark.slow
@pytest.mark.parametrize("bits", GENERATORS, ids=["threefry", "hashed"])
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.42])
def test_checkerboard_has_the_energy_and_magnetization_of_the_transfer_matrix(beta, bits):
    lattice, field = (6, 4), 0.1
    kernel = checkerboard(uniform(field=field), beta, lattice, bits)

    def run(key):
        start_key, steps_key = jax.random.split(key)
        start = ising.split(jax.random.rademacher(start_key, lattice, jnp.float32))
        _, positions, _ = trajectory(steps_key, kernel, start, 300)
        spins = jax.vmap(ising.join)(positions)[100:]
        return jax.vmap(partial(ising.energy, uniform(field=field)))(spins).mean(), spins.sum(axis=(1, 2)).mean()

    energies, magnetizations = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 400))
    exact_energy = -slope(lambda beta: problems.transfer_matrix(6, 4, beta, field), beta)
    of_field = lambda field: problems.transfer_matrix(6, 4, beta, field)
    exact_magnetization = slope(of_field, field) / beta if beta else 0.0
    assert abs(z(energies, exact_energy)) < 5
    assert abs(z(magnetizations, exact_magnetization)) < 5


@pytest.mark.slow
@pytest.mark.parametrize("coupling", [1.0, -0.7])
@pytest.mark.parametrize("bits", GENERATORS, ids=["threefry", "hashed"])
def test_multispin_chains_have_the_enumerated_law(coupling, bits):
    """All units, products and energies of a 4 by 4 lattice, of every one of 64 chains that share words."""
    params = uniform(coupling)
    space = spin_cube(16)
    flat_energy = lambda spins: ising.energy(params, spins.reshape(4, 4))
    edges = jnp.arange(-34.0, 40.0, 8.0) * abs(coupling)

    @jax.jit
    def run(key, beta):
        start_key, steps_key = jax.random.split(key)
        start = multispin.pack_chains(jax.random.rademacher(start_key, (64, 4, 4), jnp.float32))
        _, positions, _ = trajectory(steps_key, multispin.chains(coupling, beta, bits, 8), start, 1050)
        spins = jax.vmap(multispin.unpack_chains)(positions)[50:]
        return jnp.swapaxes(spins.reshape(-1, 64, 16), 0, 1)

    @jax.jit
    def scores(draws, beta):
        moments = lambda spins: law_moments(spins, flat_energy(spins), edges)
        truth = exact_mean(jax.vmap(moments)(space.points), posterior(flat_energy, space, beta))
        return z_scores(jax.vmap(jax.vmap(moments))(draws), truth), truth

    for beta in (0.0, 0.3, 0.5):
        worst, truth = scores(run(jax.random.key(4), jnp.float32(beta)), jnp.float32(beta))
        common = np.asarray(truth[-9:] > 1e-3)  # too rare an energy is no normal moment
        worst = np.concatenate([worst[:-9], worst[-9:][common]])
        assert np.abs(worst).max() < 5, (beta, np.abs(worst).max())


@pytest.mark.slow
def test_multispin_lattice_is_one_lattice():
    """The strips of a 64 by 4 lattice: the energy of the transfer matrix, which edges between strips decide."""
    beta = 0.4
    kernel = multispin.lattice(1.0, beta, precision=8)

    def run(key):
        start_key, steps_key = jax.random.split(key)
        start = multispin.pack_lattice(jax.random.rademacher(start_key, (64, 4), jnp.float32))
        _, positions, _ = trajectory(steps_key, kernel, start, 300)
        spins = jax.vmap(multispin.unpack_lattice)(positions)[60:]
        return jax.vmap(partial(ising.energy, uniform()))(spins).mean()

    energies = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), 100))
    assert abs(z(energies, -slope(lambda beta: problems.transfer_matrix(64, 4, beta), beta))) < 5


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.parametrize("beta", [0.25, 0.38, 0.5, 0.7])
def test_large_lattices_have_onsagers_energy_and_magnetization(beta):
    """256 by 256 from all up, so that a cold lattice stays in one phase; finite size is far below the error here."""
    kernel = multispin.lattice(1.0, beta, random_bits.hashed)

    def run(key):
        start = multispin.pack_lattice(jnp.ones((256, 256)))
        burn_key, key = jax.random.split(key)
        state = repeat(burn_key, kernel, kernel.init(start), 1000).state

        def sample(state, key):
            state = repeat(key, kernel, state, 10).state
            spins = multispin.unpack_lattice(state.position)
            return state, (ising.energy(uniform(), spins) / spins.size, spins.mean())

        return jax.tree.map(jnp.mean, jax.lax.scan(sample, state, jax.random.split(key, 30))[1])

    energies, magnetizations = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(2), 12))
    # 12 chains: Student's t with 11 degrees of freedom is beyond 6 once in 11,000
    assert abs(z(energies, problems.onsager_energy(beta))) < 6
    assert abs(z(magnetizations, problems.onsager_magnetization(beta))) < 6
    assert np.std(energies) < 2e-3


@pytest.mark.slow
def test_multispin_and_checkerboard_and_chromatic_agree_at_zero_temperature():
    """Where no spin has a tie there is no randomness left: one sweep is the same for all three."""
    spins = jnp.ones((64, 4)).at[3, 2].set(-1).at[40, 1].set(-1)
    key = jax.random.key(0)
    kernel = multispin.lattice(1.0, jnp.inf)
    packed = multispin.unpack_lattice(kernel.step(key, kernel.init(multispin.pack_lattice(spins)))[0].position)
    kernel = checkerboard(uniform(), jnp.inf, (64, 4))
    by_color = ising.join(kernel.step(key, kernel.init(ising.split(spins)))[0].position)
    kernel = gibbs.chromatic(partial(ising.energy, uniform()), jnp.inf, ising.checkerboard_colors((64, 4)))
    general = kernel.step(key, kernel.init(spins))[0].position
    np.testing.assert_array_equal(packed, by_color)
    np.testing.assert_array_equal(packed, general)
    assert (packed == 1).all()


def test_a_million_spins_in_32_chains_take_little_memory():
    position = jax.eval_shape(multispin.pack_chains, jax.ShapeDtypeStruct((32, 1024, 1024), jnp.float32))
    assert sum(part.size * part.dtype.itemsize for part in position) == 1024 * 1024 * 4  # 4 MB: a bit a spin


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ising.checkerboard_colors((3, 4)), "lattice: got shape"),
        (lambda: ising.split(jnp.ones((3, 4))), "spins: got a lattice of 3 by 4, wanted even sides"),
        (lambda: checkerboard(uniform(), 1.0, (3, 4)), "wanted even sides"),
        (lambda: checkerboard(uniform(), -1.0, (4, 4)), "beta: got -1"),
        (lambda: checkerboard(ising.Params(jnp.ones((2, 4, 6)), jnp.zeros(())), 1.0, (4, 4)), "coupling: got shape"),
        (lambda: checkerboard(uniform(), 1.0, (4, 4)).init(ising.split(jnp.zeros((4, 4)))), "got a unit of 0.0"),
        (lambda: multispin.pack_chains(jnp.ones((31, 4, 4))), "spins: got 31 chains"),
        (lambda: multispin.pack_chains(jnp.ones((32, 4, 3))), "wanted even sides"),
        (lambda: multispin.pack_chains(jnp.zeros((32, 4, 4))), "spins: got a unit of 0.0"),
        (lambda: multispin.pack_lattice(jnp.ones((32, 4))), "spins: got 32 rows, wanted a multiple of 64"),
        (lambda: multispin.chains(1.0, -2.0), "beta: got -2"),
        (lambda: multispin.chains(1.0, 1.0, precision=0), "precision: got 0"),
    ],
)
def test_bad_lattices_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
@pytest.mark.parametrize("lattice", [(4, 4), (6, 4), (2, 8), (6,), (4, 6, 2)])
def test_checkerboard_knows_every_bond_and_field(lattice):
    """At zero temperature, without ties, a sweep is determined: that of the colouring, which knows the energy alone."""
    random = np.random.default_rng(0)
    params = ising.Params(
        jnp.asarray(random.normal(size=(len(lattice), *lattice)), jnp.float32),
        jnp.asarray(random.normal(size=lattice), jnp.float32),
    )
    kernel = checkerboard(params, jnp.inf, lattice)
    general = gibbs.chromatic(partial(ising.energy, params), jnp.inf, ising.checkerboard_colors(lattice))
    spins = jax.random.rademacher(jax.random.key(1), (64, *lattice), jnp.float32)
    key = jax.random.key(2)
    start = lambda s: kernel.init(ising.split(s, len(lattice)))
    swept = jax.vmap(lambda s: ising.join(kernel.step(key, start(s))[0].position))(spins)
    expected = jax.vmap(lambda s: general.step(key, general.init(s))[0].position)(spins)
    np.testing.assert_array_equal(swept, expected)


@pytest.mark.slow
def test_every_edge_between_strips_is_a_bond():
    """Pairs of down spins, apart from one another, across every row: each sees three up, and turns, at beta = inf.

    Were one bond to be missing, its two spins would see a tie and stay half of the times, in each of eight columns.
    """
    rows, columns = np.arange(64), 4 * 64 * 8
    spins = np.ones((64, columns), np.float32)
    for copy in range(8):
        across = 4 * (rows + 64 * copy)
        spins[rows, across] = spins[(rows + 1) % 64, across] = -1
    kernel = multispin.lattice(1.0, jnp.inf, random_bits.hashed)
    state = kernel.step(jax.random.key(0), kernel.init(multispin.pack_lattice(jnp.asarray(spins))))[0]
    assert (multispin.unpack_lattice(state.position) == 1).all()


@pytest.mark.slow
def test_many_lattices_at_many_temperatures_are_those_one_by_one():
    """`jax.vmap` has another arrangement of memory, and no other numbers; twice too, as in a ladder of chains."""
    random = np.random.default_rng(3)
    params = ising.Params(jnp.asarray(random.normal(size=(2, 4, 6)), jnp.float32), jnp.array(0.3))
    betas = jnp.array([0.0, 0.5, jnp.inf])
    spins = jax.random.rademacher(jax.random.key(0), (5, 3, 4, 6), jnp.float32)
    keys = jax.random.split(jax.random.key(1), (5, 3))

    def run(key, beta, spins):
        kernel = checkerboard(params, beta, (4, 6))
        return ising.join(repeat(key, kernel, kernel.init(ising.split(spins)), 3).positions)

    together = jax.jit(jax.vmap(jax.vmap(run), (0, None, 0)))(keys, betas, spins)
    alone = jnp.stack([run(keys[i, j], betas[j], spins[i, j]) for i in range(5) for j in range(3)])
    np.testing.assert_array_equal(together.reshape(15, 4, 6), alone)
