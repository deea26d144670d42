"""Energies of energies: every law against the enumerated one, at several temperatures, and every refusal by name."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmjax import binary_cube, interval, log_partition, posterior, product, spin_cube
from ebmjax.energies import clamp, composition, penalties
from ebmjax.minimize.descent import newton

BETAS = (0.0, 0.7, 3.0)

free = lambda z: jnp.sum((jnp.array([3.0, -4.0]) - z) ** 2)
bowl = lambda z: jnp.sum(z**2)
hill = lambda z: jnp.cos(z[0]) - z[1]


def ising(seed, units=5):
    """A quadratic energy of spins or bits with random couplings."""
    weights, biases = np.random.default_rng(seed).normal(size=(2, units, units))
    return lambda s: -s @ jnp.asarray(weights, s.dtype) @ s / 2 - jnp.asarray(biases[0], s.dtype) @ s


def of_a_pair(seed):
    """An energy of a number and three spins: an unknown that is a tuple."""
    inner = ising(seed, 3)
    return lambda unknown: (unknown[0] - seed / 2) ** 2 + inner(unknown[1]) * jnp.sin(unknown[0])


PROBLEMS = {
    "spins": (lambda: spin_cube(5), [ising(seed) for seed in range(3)]),
    "bits": (lambda: binary_cube(5), [ising(seed) for seed in range(3)]),
    "interval": (lambda: interval(-2.0, 3.0, 61), [lambda x: (x - 1) ** 2, jnp.cos, lambda x: 0.3 * x]),
    "pairs": (lambda: product(interval(-1.0, 2.0, 7), spin_cube(3)), [of_a_pair(seed) for seed in range(3)]),
}


class Problem(NamedTuple):
    """A space, three energies on it, and their values at its points."""

    space: Any
    energies: list
    values: np.ndarray


@pytest.fixture(params=PROBLEMS)
def problem(request, x64):
    make, energies = PROBLEMS[request.param]
    space = make()
    return Problem(space, energies, np.asarray(jax.jit(lambda: jnp.stack([values(e, space) for e in energies]))()))


def values(energy, space):
    return jax.vmap(energy)(space.points)


def normalized(relative, space):
    """Relative densities into the probabilities of the space's points, along the last axis."""
    weights = relative * np.exp(space.log_weights)
    return weights / weights.sum(axis=-1, keepdims=True)


def agree(compose, truth, space, *numbers, betas=BETAS):
    """The law of compose(beta, *numbers) at every beta is the normalized truth(beta): compiled once, beta traced."""
    law = jax.jit(lambda beta, *numbers: posterior(compose(beta, *numbers), space, beta))
    for beta in betas:
        np.testing.assert_allclose(law(beta, *numbers), normalized(truth(beta), space), rtol=1e-9)


def test_a_product_multiplies_the_laws(problem):
    density = lambda beta: normalized(np.exp(-beta * problem.values), problem.space) / np.exp(problem.space.log_weights)
    both = lambda beta: composition.product_of_experts(problem.energies)
    agree(both, lambda beta: density(beta).prod(axis=0), problem.space)


@pytest.mark.slow
def test_weights_are_powers_of_the_laws(problem):
    density = lambda beta: np.exp(-beta * problem.values)
    for weights in ((1.0, 0.5, -0.3), (0.0, 2.0, 0.0)):
        powers = lambda beta, weights=weights: (density(beta) ** np.array(weights)[:, None]).prod(axis=0)
        summed = lambda beta, weights: composition.weighted_sum(problem.energies, weights)
        agree(summed, powers, problem.space, jnp.array(weights))
        agree(lambda beta, weights=weights: summed(beta, weights), powers, problem.space)


@pytest.mark.slow
def test_a_mixture_with_log_partitions_is_the_mixture_of_the_laws(problem):
    """Whatever constants are added to the energies, and whatever the scale of the weights."""
    space, energies, _ = problem
    weights, shifts = np.array([0.5, 0.2, 0.3]), jnp.array([0.0, 20.0, -30.0])
    truth = lambda beta: weights @ normalized(np.exp(-beta * problem.values), space) / np.exp(space.log_weights)

    def mixed(beta, shifts, scale):
        moved = [lambda x, energy=energy, k=k: energy(x) + shifts[k] for k, energy in enumerate(energies)]
        logs = [log_partition(energy, space, beta) for energy in moved]
        return composition.mixture(moved, beta, scale * weights, logs)

    agree(lambda beta, shifts: mixed(beta, shifts, 1), truth, space, 0 * shifts)
    agree(lambda beta, shifts: mixed(beta, shifts, 7), truth, space, shifts)
    with pytest.raises(AssertionError):  # at another temperature it is another law
        agree(lambda beta: mixed(beta, shifts, 1), lambda beta: truth(2 * beta), space, betas=[0.7])


@pytest.mark.slow
def test_without_log_partitions_the_weights_are_those_of_unnormalized_laws(problem):
    terms = lambda beta: np.exp(-beta * problem.values)
    weights = np.array([0.5, 0.2, 0.3])
    mixed = lambda beta, *weights: composition.mixture(problem.energies, beta, *weights)
    agree(mixed, lambda beta: terms(beta).sum(axis=0), problem.space)
    agree(mixed, lambda beta: weights @ terms(beta), problem.space, jnp.asarray(weights))


@pytest.mark.slow
def test_a_mixture_is_the_mean_when_hot_and_the_union_when_cold(problem):
    """Log-partitions are infinite at beta = inf, and do not count, whether it is traced or not."""
    space, energies, table = problem
    same = partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-12)
    mixed = lambda beta, *numbers: values(composition.mixture(energies, beta, *numbers), space)
    traced, logs = jax.jit(mixed), jnp.array([jnp.inf, -jnp.inf, 0.0])
    same(traced(0.0, jnp.array([1.0, 2.0, 1.0])), np.array([0.25, 0.5, 0.25]) @ table)
    same(traced(jnp.inf, jnp.array([1.0, 0.0, 1.0])), table[[0, 2]].min(axis=0))
    same(traced(jnp.inf, jnp.ones(3), logs), table.min(axis=0))
    same(jax.jit(lambda: mixed(jnp.inf, [1.0, 0.0, 1.0], logs))(), table[[0, 2]].min(axis=0))
    union = composition.mixture([bowl, hill], jnp.inf, None, [jnp.inf, -jnp.inf])(jnp.array([0.5, 0.0]))
    assert float(union) == 0.25


def test_a_negated_law_is_the_inverse(problem):
    negated = lambda beta: composition.negated(problem.energies[0])
    agree(negated, lambda beta: 1 / np.exp(-beta * problem.values[0]), problem.space)


def test_a_tempered_law_at_one_is_the_original_at_beta(problem):
    truth = lambda beta: np.exp(-beta * problem.values[0])
    for hotter in (1.0, 4.0):
        law = jax.jit(
            lambda beta, hotter=hotter: posterior(
                composition.tempered(problem.energies[0], beta / hotter), problem.space, hotter
            )
        )
        for beta in BETAS:
            np.testing.assert_allclose(law(beta), normalized(truth(beta), problem.space), rtol=1e-9)


def test_interpolation_is_the_geometric_path(problem):
    first, second, _ = problem.energies
    densities = lambda beta: normalized(np.exp(-beta * problem.values[:2]), problem.space)
    density = lambda beta: densities(beta) / np.exp(problem.space.log_weights)
    for t in (0.0, 0.3, 1.0):
        path = lambda beta, t=t: density(beta)[0] ** (1 - t) * density(beta)[1] ** t
        agree(lambda beta, t: composition.interpolated(first, second, t), path, problem.space, t)
        assert float(
            composition.interpolated(first, second, t)(jax.tree.map(lambda x: x[2], problem.space.points))
        ) == (pytest.approx((1 - t) * problem.values[0, 2] + t * problem.values[1, 2], rel=1e-12))


def test_the_ends_of_an_interpolation_are_exact_where_the_other_is_infinite():
    wall = lambda x: jnp.where(x > 0, jnp.inf, x)
    between = lambda t: composition.interpolated(wall, jnp.sin, t)(2.0)
    for call in (between, jax.jit(between)):
        assert [float(call(t)) for t in (0.0, 0.5, 1.0)] == [np.inf, np.inf, float(jnp.sin(2.0))]
    assert float(composition.weighted_sum([wall, jnp.sin], [0.0, 1.0])(2.0)) == float(jnp.sin(2.0))
    assert [float(composition.tempered(wall, beta)(2.0)) for beta in (0.0, 0.5)] == [0, np.inf]


@pytest.mark.slow
def test_derivatives_by_position_and_by_every_number(x64):
    """Also by a weight that is zero, which a careless guard against 0 · ∞ would take away."""
    z = jnp.array([0.4, -1.1])
    values, slopes = jnp.stack([bowl(z), hill(z)]), jnp.stack([jax.grad(bowl)(z), jax.grad(hill)(z)])
    for weights in (jnp.array([0.0, 0.5]), jnp.array([2.0, -1.0])):
        summed = lambda weights, z: composition.weighted_sum([bowl, hill], weights)(z)
        by_weights, by_position = jax.grad(summed, (0, 1))(weights, z)
        np.testing.assert_allclose(by_weights, values)
        np.testing.assert_allclose(by_position, weights @ slopes)
    np.testing.assert_allclose(jax.grad(lambda beta: composition.tempered(bowl, beta)(z))(0.0), bowl(z))
    for t in (0.0, 0.4, 1.0):
        slope = jax.grad(lambda t: composition.interpolated(bowl, hill, t)(z))(t)
        np.testing.assert_allclose(slope, hill(z) - bowl(z))
    share = jnp.exp(-2 * values) * jnp.array([0.3, 0.7])
    mixed = composition.mixture([bowl, hill], 2.0, [0.3, 0.7])
    np.testing.assert_allclose(jax.grad(mixed)(z), share @ slopes / share.sum(), rtol=1e-10)


NUMBERS = st.floats(-5, 5, width=32)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.lists(NUMBERS, min_size=1, max_size=4), st.floats(0, 20, width=32), st.randoms(use_true_random=False))
def test_algebra(offsets, beta, random):
    """A mixture lies between least and mean and heeds no order; twins count once; negation undoes itself."""
    energies = [lambda x, a=a: a * x + a**2 for a in offsets]
    x = jnp.float32(0.7)
    values = np.array([energy(x) for energy in energies])
    tolerance = 1e-4 * (1 + np.abs(values).max())
    mixed = composition.mixture(energies, beta)(x)
    assert values.min() - tolerance <= mixed <= values.mean() + tolerance
    order = random.sample(range(len(offsets)), len(offsets))
    shuffled = [energies[k] for k in order]
    np.testing.assert_allclose(composition.mixture(shuffled, beta)(x), mixed, atol=tolerance)
    np.testing.assert_allclose(
        composition.product_of_experts(shuffled)(x), composition.product_of_experts(energies)(x), atol=tolerance
    )
    twin = energies[0]
    np.testing.assert_allclose(composition.mixture([twin, twin], beta, [0.2, 0.8])(x), values[0], atol=tolerance)
    np.testing.assert_allclose(composition.weighted_sum([twin, twin], [0.2, 0.8])(x), values[0], atol=tolerance)
    assert composition.negated(composition.negated(twin))(x) == values[0]
    np.testing.assert_allclose(
        composition.interpolated(energies[0], energies[-1], 0.25)(x),
        0.75 * values[0] + 0.25 * values[-1],
        atol=tolerance,
    )


def test_compositions_nest_and_compile_once():
    """(A or B) and not C, with traced numbers: one trace serves every temperature and weight."""
    traces = []

    def counted(z):
        traces.append(None)
        return bowl(z)

    @jax.jit
    def value(beta, weight, t, z):
        either = composition.mixture([counted, hill], beta)
        return composition.weighted_sum([either, composition.negated(hill)], [1.0, t])(z) + composition.tempered(
            composition.interpolated(bowl, hill, t), weight
        )(z)

    z = jnp.array([0.4, -1.1])
    for beta, weight, t in ((1.0, 0.5, 0.2), (2.0, 0.0, 0.0), (jnp.inf, 1.5, 1.0)):
        either = composition.mixture([bowl, hill], beta)(z)
        by_hand = either - t * hill(z) + weight * ((1 - t) * bowl(z) + t * hill(z))
        np.testing.assert_allclose(value(beta, weight, t, z), by_hand, rtol=1e-5)
    assert len(traces) == 1


def test_numbers_of_any_dtype_are_taken():
    whole = lambda x: x * 3  # an energy that counts
    assert float(composition.weighted_sum([whole], [0.5])(jnp.int32(3))) == 4.5
    assert float(composition.weighted_sum([whole, whole], np.array([0.5, 1.0]))(jnp.int32(2))) == 9
    assert float(composition.interpolated(whole, whole, np.float64(0.5))(jnp.float32(2))) == 6
    assert float(composition.tempered(lambda x: 2.0, 3)(0)) == 6


def test_a_clamped_energy_has_the_conditional_law(x64):
    energy, cube, beta = ising(0), spin_cube(5), 0.7
    known, values = np.array([True, False, True, False, False]), jnp.array([1.0, 0.0, -1.0, 0.0, 0.0])
    agree = (np.asarray(cube.points)[:, known] == np.asarray(values)[known]).all(axis=1)
    joint = np.asarray(posterior(energy, cube, beta))[agree]
    held = clamp.clamp(energy, known, values)
    np.testing.assert_allclose(posterior(held, spin_cube(3), beta), joint / joint.sum(), rtol=1e-12)
    for shape in ((), (1,), (5,), (3, 1)):  # some of these would be spread over all that is free
        with pytest.raises(ValueError, match=r"free: got shape .*, wanted \(3,\)"):
            held(jnp.ones(shape))


def test_values():
    z = jnp.array([1.0, -2.0])
    assert float(penalties.regularized(free, penalties.squared_norm, 0.5)(z)) == 8 + 0.5 * 5
    assert float(penalties.regularized(free, penalties.l1_norm, 2.0)(z)) == 8 + 2 * 3
    assert float(penalties.squared_norm(jnp.array(3.0))) == 9


def test_a_free_latent_explains_everything_and_a_held_one_does_not():
    """min ‖y - z‖² + λ‖z‖² = λ/(1 + λ) ‖y‖²."""
    np.testing.assert_allclose(newton(free, jnp.zeros(2)).energy, 0, atol=1e-10)
    held = newton(penalties.regularized(free, penalties.squared_norm, 0.25), jnp.zeros(2))
    np.testing.assert_allclose(held.energy, 0.25 / 1.25 * 25, rtol=1e-6)


def test_noise_adds_its_variance(x64):
    noise = 0.3 * jax.random.normal(jax.random.key(0), (50_000, 2))
    z = jnp.array([1.0, 0.0])
    shift = 2 * noise.mean(axis=0) @ (z - jnp.array([3.0, -4.0]))
    np.testing.assert_allclose(penalties.noisy(free, noise)(z), free(z) + (noise**2).sum(axis=1).mean() + shift)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="weight: got -1"):
        penalties.regularized(free, penalties.l1_norm, -1.0)
    with pytest.raises(ValueError, match="noise: got shape"):
        penalties.noisy(free, jnp.ones((0, 2)))
    assert jnp.isfinite(jax.jit(lambda w: penalties.regularized(free, penalties.l1_norm, w)(jnp.ones(2)))(0.1))


two = [bowl, hill]
REFUSED = {
    "none summed": (lambda: composition.weighted_sum([], []), "energies: got none"),
    "none multiplied": (lambda: composition.product_of_experts([]), "energies: got none"),
    "none mixed": (lambda: composition.mixture([], 1.0), "energies: got none"),
    "another number of weights": (lambda: composition.weighted_sum(two, [1.0]), "weights: got 1, wanted 2"),
    "a weight that is not finite": (lambda: composition.weighted_sum(two, [1.0, jnp.nan]), "weights: got nan"),
    "weights in rows": (lambda: composition.weighted_sum(two, np.ones((2, 1))), r"weights: got one of shape \(1,\)"),
    "another number of shares": (lambda: composition.mixture(two, 1.0, jnp.ones(3)), "weights: got 3, wanted 2"),
    "a negative share": (lambda: composition.mixture(two, 1.0, [1.5, -0.5]), "weights: got -0.5"),
    "an infinite share": (lambda: composition.mixture(two, 1.0, [1.0, jnp.inf]), "weights: got inf"),
    "no share": (lambda: composition.mixture(two, 1.0, [0.0, 0.0]), "weights: got nothing but zeros"),
    "another number of log-partitions": (
        lambda: composition.mixture(two, 1.0, None, [0.0]),
        "log_partitions: got 1, wanted 2",
    ),
    "an infinite log-partition": (
        lambda: composition.mixture(two, 1.0, None, [0.0, -jnp.inf]),
        "log_partitions: got -inf",
    ),
    "a mixture below zero": (lambda: composition.mixture(two, -1.0), "beta: got -1.0"),
    "a mixture at nan": (lambda: composition.mixture(two, jnp.nan), "beta: got nan"),
    "tempered below zero": (lambda: composition.tempered(bowl, -1.0), "beta: got -1.0"),
    "tempered to nothing": (lambda: composition.tempered(bowl, jnp.inf), "beta: got inf"),
    "tempered by a list": (lambda: composition.tempered(bowl, np.ones(2)), r"beta: got shape \(2,\)"),
    "before the path": (
        lambda: composition.interpolated(bowl, hill, -0.1),
        r"t: got -0.1, wanted a number in \[0, 1\]",
    ),
    "behind the path": (lambda: composition.interpolated(bowl, hill, 1.1), "t: got 1.1"),
    "nowhere on the path": (lambda: composition.interpolated(bowl, hill, jnp.nan), "t: got nan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_compositions_are_named(name):
    compose, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        compose()


def fixed(z):
    """An energy of exactly three numbers."""
    return jnp.dot(z, jnp.arange(3.0))


MAKERS = {
    "weighted_sum": lambda *energies: composition.weighted_sum(energies, [1.0] * len(energies)),
    "product_of_experts": lambda *energies: composition.product_of_experts(energies),
    "mixture": lambda *energies: composition.mixture(energies, 2.0),
    "interpolated": lambda *energies: composition.interpolated(*energies, 0.5),
}


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", MAKERS)
def test_an_energy_of_another_unknown_is_named(name, jit):
    """Arrays of another length, tuples, dictionaries and records: whatever the foreign energy trips over."""
    call = lambda energy, unknown: (jax.jit(energy) if jit else energy)(unknown)
    strangers = [fixed, lambda z: z[0][0] + z[5].sum(), lambda z: z["x"], lambda z: z.position]
    for stranger, unknown in zip(strangers, (jnp.ones(2), (jnp.ones(2),), (jnp.ones(2),), (jnp.ones(2),)), strict=True):
        known = lambda unknown: jax.tree.leaves(unknown)[0].sum()
        with pytest.raises(
            ValueError, match=r"energies: the second cannot take an unknown of shape .*2,.*: "
        ) as caught:
            call(MAKERS[name](known, stranger), unknown)
        assert caught.value.__cause__ is not None
    with pytest.raises(ValueError, match=r"energies: the first: got a value of shape \(2,\), wanted a scalar"):
        call(MAKERS[name](jnp.square, bowl), jnp.ones(2))
    with pytest.raises(ValueError, match=r"energies: the second: got a value of shape \(\(\), \(\)\), wanted a scalar"):
        call(MAKERS[name](bowl, lambda z: (z[0], z[1])), jnp.ones(2))
    with pytest.raises(ValueError, match=r"energies: the second: got a value of shape {'E': \(\)}, wanted a scalar"):
        call(MAKERS[name](bowl, lambda z: {"E": z[0]}), jnp.ones(2))


@pytest.mark.parametrize("make", [composition.negated, lambda energy: composition.tempered(energy, 2.0)])
def test_an_energy_alone_is_checked_too(make):
    with pytest.raises(ValueError, match=r"energies: the first cannot take an unknown of shape \(2,\)"):
        make(fixed)(jnp.ones(2))
    with pytest.raises(ValueError, match=r"energies: the first: got a value of shape \(3,\), wanted a scalar"):
        make(jnp.square)(jnp.ones(3))


def test_the_twelfth_is_named_by_its_number():
    with pytest.raises(ValueError, match="energies: number 12: got a value of shape"):
        composition.product_of_experts([bowl] * 11 + [jnp.square])(jnp.ones(2))
