"""Mean fields against exact free energies of enumerated machines: an upper bound, exact without couplings."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube, free_energy, spin_cube
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.marginalize.mean_field import divergence, mean_field
from ebmjax.types import BITS, CONVERGED, DIVERGED, SPINS, STEP_LIMIT

SIZES = (4, 3, 2)
HIDDEN = dbm.odd_even_hidden(3)
ALL = dbm.odd_even(3)
BETAS = (0.0, 0.3, 1.7, np.inf)


def machine(seed, scale=1.0, sizes=SIZES):
    random = np.random.default_rng(seed)
    weights = tuple(jnp.asarray(scale * random.normal(size=s)) for s in zip(sizes, sizes[1:], strict=False))
    return dbm.Params(weights, tuple(jnp.asarray(random.normal(size=n)) for n in sizes))


def middle(sizes=SIZES):
    return tuple(jnp.full(n, 0.5) for n in sizes)


def split(units, sizes=SIZES):
    return tuple(jnp.split(units, np.cumsum(sizes)[:-1]))


def given(visible, hidden):
    return (visible, *split(hidden, SIZES[1:]))


@pytest.mark.slow
def test_it_bounds_the_free_energy_of_all_units(x64):
    def both(params, beta):
        energy = partial(dbm.energy, params)
        exact = free_energy(lambda units: energy(split(units)), binary_cube(9), beta)
        return exact, mean_field(energy, middle(), beta, ALL, max_sweeps=2000), energy(middle())

    machines = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(machine, range(5)))
    exact, solution, fair = jax.jit(jax.vmap(jax.vmap(both, (0, None)), (None, 0)))(machines, jnp.array(BETAS))
    assert (solution.result == CONVERGED).all()
    assert (solution.energy >= exact - 1e-9).all()
    assert (solution.energy < fair + 1e-9).all(), "no better than fair coins"
    assert (solution.energy[1:3] > exact[1:3] + 1e-5).all(), "couplings make independent units worse than the law"


@pytest.mark.slow
def test_it_bounds_the_free_energy_of_what_is_free_given_the_rest(x64):
    energy = partial(dbm.energy, machine(7))

    def both(visible, beta):
        exact = free_energy(lambda hidden: energy(given(visible, hidden)), binary_cube(5), beta)
        return exact, mean_field(energy, given(visible, jnp.full(5, 0.5)), beta, HIDDEN, max_sweeps=2000)

    states = binary_cube(4).points
    exact, solution = jax.jit(jax.vmap(jax.vmap(both, (0, None)), (None, 0)))(states, jnp.array(BETAS))
    for means in solution.value[0]:
        np.testing.assert_array_equal(means, states)
    assert (exact - 1e-9 <= solution.energy).all()
    assert (solution.energy < exact + 0.5).all()


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_it_is_exact_without_couplings(beta, x64):
    """With a static beta, for which 0 and inf have code of their own."""
    params = machine(3, scale=0.0)
    energy = partial(dbm.energy, params)

    @jax.jit
    def both(params):
        exact = free_energy(lambda units: energy(split(units)), binary_cube(9), beta)
        return exact, mean_field(energy, middle(), beta, ALL)

    exact, solution = both(params)
    np.testing.assert_allclose(solution.energy, exact, rtol=1e-10)
    for mean, bias in zip(solution.value, params.biases, strict=True):
        np.testing.assert_allclose(mean, jax.nn.sigmoid(beta * bias), rtol=1e-10)


@pytest.mark.slow
def test_spins_have_twice_the_gap(x64):
    """-J s₁s₂ - b·s without J: tanh(beta b), and the bound over the cube of spins with it."""
    bias = jnp.array([0.7, -0.2])
    alone = mean_field(lambda s: -bias @ s[0], (jnp.zeros(2),), 1.7, ((0,),), SPINS)
    np.testing.assert_allclose(alone.value[0], jnp.tanh(1.7 * bias), rtol=1e-10)
    energy = lambda s: -(bias[0] * s[0].sum() + bias[1] * s[1].sum() + 0.5 * s[0].sum() * s[1].sum())
    exact = free_energy(lambda s: energy((s[:1], s[1:])), spin_cube(2), 1.7)
    coupled = mean_field(energy, (jnp.zeros(1), jnp.zeros(1)), 1.7, ((0,), (1,)), SPINS)
    assert exact < coupled.energy < exact + 0.2


@pytest.mark.slow
def test_it_is_the_self_consistent_law(x64):
    params = machine(11)
    solution = mean_field(partial(dbm.energy, params), middle(), 1.7, ALL, max_sweeps=5000, tolerance=1e-12)
    for mean, field in zip(solution.value, dbm.fields(params, solution.value), strict=True):
        np.testing.assert_allclose(mean, jax.nn.sigmoid(1.7 * field), atol=1e-10)


@pytest.mark.slow
def test_sweeps_never_raise_the_free_energy(x64):
    energy = partial(dbm.energy, machine(5, scale=3.0))
    random = np.random.default_rng(0)
    start = tuple(jnp.asarray(random.uniform(size=n)) for n in SIZES)
    sweep = jax.jit(lambda means, beta: mean_field(energy, means, beta, ALL, max_sweeps=1, tolerance=0.0))
    for beta in (0.3, 1.7, np.inf):
        means, heights = start, [energy(start) + sum(divergence(layer) for layer in start) / beta]
        for _ in range(25):
            means, height, steps, result, _ = sweep(means, jnp.array(beta))
            assert (int(steps), int(result)) in {(1, STEP_LIMIT), (1, CONVERGED)}
            heights.append(height)
        assert (np.diff(heights) <= 1e-12).all()
        assert heights[-1] < heights[0] - 0.1


@pytest.mark.slow
def test_result_codes():
    energy = partial(dbm.energy, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), machine(5, scale=3.0)))
    assert mean_field(energy, middle(), 1.7, ALL, max_sweeps=1).result == STEP_LIMIT
    solution = mean_field(energy, middle(), 1.7, ALL, max_sweeps=500)
    assert solution.result == CONVERGED
    assert 1 < solution.steps < 500
    # two units of one block that are coupled: they repel each other, and both become high
    repel = lambda s: 20 * s[0][0] * s[0][1] - 5 * s[0].sum()
    assert mean_field(repel, (jnp.array([0.1, 0.1]),), 1.0, ((0,),), max_sweeps=1).result == DIVERGED
    assert mean_field(lambda s: jnp.nan * s[0].sum(), (jnp.ones(2),), 1.0, ((0,),)).result == DIVERGED


@pytest.mark.slow
def test_float32_keeps_the_digits():
    """At a small beta, KL/beta divides two small numbers; float64 shows how precise the quotient is."""

    def heights():
        of = lambda beta: mean_field(partial(dbm.energy, machine(2)), middle(), beta, ALL, max_sweeps=500).energy
        return jax.jit(jax.vmap(of))(jnp.array([1e-6, 1e-3, 1.7, 1e6]))

    single = heights()
    with jax.enable_x64(True):
        np.testing.assert_allclose(single, heights(), rtol=3e-6)
    assert single.dtype == jnp.float32


@pytest.mark.slow
def test_the_gradient_is_that_of_the_bound(x64):
    """Differences of the converged bound, under jit and vmap; and -KL/beta² with respect to beta."""
    params = machine(4)
    visible = binary_cube(4).points[3:7]

    def bound(params, beta, visible):
        energy = partial(dbm.energy, params)
        return mean_field(
            energy, given(visible, jnp.full(5, 0.5)), beta, HIDDEN, max_sweeps=5000, tolerance=1e-13
        ).energy

    mean = lambda params, beta: jax.vmap(lambda v: bound(params, beta, v))(visible).mean()
    slopes, total = jax.jit(jax.grad(mean, (0, 1))), jax.jit(mean)
    step = 1e-5
    for beta in (0.3, 1.7):
        slope, along_beta = slopes(params, beta)
        leaves, structure = jax.tree.flatten(params)
        for number, flat in enumerate(jax.tree.leaves(slope)):
            index = (0,) * flat.ndim
            shifted = [
                jax.tree.unflatten(
                    structure, [*leaves[:number], leaves[number].at[index].add(h), *leaves[number + 1 :]]
                )
                for h in (step, -step)
            ]
            difference = (total(shifted[0], beta) - total(shifted[1], beta)) / (2 * step)
            np.testing.assert_allclose(flat[index], difference, atol=1e-8)
        difference = (total(params, beta + step) - total(params, beta - step)) / (2 * step)
        np.testing.assert_allclose(along_beta, difference, atol=1e-8)


def test_divergence_is_log_two_less_the_entropy(x64):
    means = jnp.array([0.0, 1e-9, 0.2, 0.5, 0.9, 1.0])
    law = np.stack([means, 1 - means])
    entropy = -np.where(law > 0, law * np.log(np.where(law > 0, law, 1)), 0).sum(axis=0)
    for mean, expected in zip(means, np.log(2) - entropy, strict=True):
        np.testing.assert_allclose(divergence(mean[None]), expected, atol=1e-12)
        np.testing.assert_allclose(divergence(2 * mean[None] - 1, SPINS), expected, atol=1e-12)


def test_means_that_round_to_the_ends_cost_log_two():
    """Under jit XLA turns 1 + (2m - 1) into 2m, so that (2m) log(1 + u) would be -inf where u rounds to -1."""
    tiny = jnp.array([0.0, 1e-44, 1e-30, 1e-9, 1e-7])
    of = jax.jit(lambda field: jax.vmap(lambda m: divergence(m[None]))(jax.nn.sigmoid(field)))
    np.testing.assert_allclose(of(jnp.array([-jnp.inf, -100, -88, -20, 20, 100])), np.log(2), atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda m: divergence(m[None])))(tiny), np.log(2), atol=3e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": -1.0}, "beta: got -1.0"),
        ({"blocks": ()}, "blocks: got"),
        ({"blocks": ((0, 3),)}, "blocks: got"),
        ({"blocks": ((1,), (1,))}, "blocks: got"),
        ({"start": (jnp.full(4, 1.5), jnp.full(3, 0.5), jnp.full(2, 0.5))}, "start: got a mean of 1.5, wanted 0 to 1"),
        ({"max_sweeps": 0}, "max_sweeps: got 0"),
        ({"tolerance": -1.0}, "tolerance: got -1.0"),
    ],
)
def test_bad_arguments_are_refused_by_name(change, message):
    arguments = {"start": middle(), "beta": 1.0, "blocks": ALL, "alphabet": BITS, "max_sweeps": 3, "tolerance": 0.1}
    with pytest.raises(ValueError, match=message):
        mean_field(lambda s: s[0].sum(), **(arguments | change))
