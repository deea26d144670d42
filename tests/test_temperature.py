"""softmin against mpmath, its algebra, and its derivatives at both ends of the temperature scale."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmjax.temperature import reduced, softargmax, softargmin, softmax, softmin

mpmath.mp.dps = 160  # d²F/dbeta² cancels 60 digits twice at beta = 1e-30
INF = float("inf")


def exact(values, beta, weights=None):
    """F, dF/dbeta, d²F/dbeta² and p, in 160 digits, at a finite positive beta."""
    values = [mpmath.mpf(float(v)) for v in values]
    weights = [mpmath.mpf(1)] * len(values) if weights is None else [mpmath.e ** mpmath.mpf(float(w)) for w in weights]
    total, beta, least = mpmath.fsum(weights), mpmath.mpf(float(beta)), min(values)
    terms = [w / total * mpmath.e ** (-beta * (v - least)) for w, v in zip(weights, values, strict=True)]
    kept = mpmath.fsum(terms)
    free, share = least - mpmath.log(kept) / beta, [t / kept for t in terms]
    mean = mpmath.fsum(p * v for p, v in zip(share, values, strict=True))
    variance = mpmath.fsum(p * (v - mean) ** 2 for p, v in zip(share, values, strict=True))
    slope = (mean - free) / beta
    return free, slope, (-variance - 2 * slope) / beta, share


def energies(seed, size):
    """Energies of either sign and of very different sizes."""
    rng = np.random.default_rng(seed)
    kinds = [
        rng.normal(size=size) * 10 ** rng.uniform(-3, 3) + 3,
        np.exp(3 * rng.normal(size=size)),
        np.where(np.arange(size) == 0, 0.0, 12.0),  # one state against all others
        np.where(np.arange(size) == 0, 1.0, 0.0),
    ]
    return kinds[seed % 4].astype(np.float32)


value_and_slopes = jax.jit(
    lambda values, beta, weights: (
        softmin(values, beta, weights),
        jax.grad(softmin, 1)(values, beta, weights),
        jax.grad(jax.grad(softmin, 1), 1)(values, beta, weights),
        softargmin(values, beta, weights),
    )
)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 48, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_float32_agrees_with_mpmath_over_sixty_decades(size, seed):
    values, weights = energies(seed, size), np.random.default_rng(seed).normal(size=size).astype(np.float32)
    scale = float(np.abs(values).max())
    for beta in np.float32(10.0) ** np.random.default_rng(seed).uniform(-30, 30, 6):
        free, slope, bend, share = exact(values, beta, weights)
        got = value_and_slopes(values, np.float32(beta), weights)
        # float32 cannot know a value better than the values that cancel in it
        assert abs(float(got[0]) - float(free)) <= 3e-6 * max(abs(float(free)), 0.1 * scale)
        assert abs(float(got[1]) - float(slope)) <= 1e-4 * abs(float(slope)) + 1e-12 * scale**2
        assert abs(float(got[2]) - float(bend)) <= 1e-3 * abs(float(bend)) + 1e-10 * scale**3
        np.testing.assert_allclose(got[3], np.array(share, np.float64), atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("beta", np.geomspace(1e-30, 1e30, 61))
def test_positive_energies_are_right_to_3e_6(beta):
    values = energies(1, 96)
    free = exact(values, np.float32(beta))[0]
    assert abs(float(softmin(jnp.asarray(values), np.float32(beta))) / float(free) - 1) <= 3e-6


def test_weights_that_vanish_in_float32():
    """The least energy has a weight of exp(-150): a sum over weights, rather than their logarithms, loses it."""
    values, weights = np.array([0.0, 200.0], np.float32), np.array([-150.0, 0.0], np.float32)
    for beta in (0.5, 1.0, 3.0, 1e4):
        free = float(exact(values, beta, weights)[0])
        np.testing.assert_allclose(softmin(jnp.asarray(values), beta, jnp.asarray(weights)), free, rtol=1e-6)


@pytest.mark.slow
def test_both_ends(x64):
    values = jnp.array([1.0, 3.0, 1.0, 7.0])
    centred = values - values.mean()
    for beta, expected in ((0.0, values.mean()), (INF, 1.0)):
        assert float(softmin(values, beta)) == expected
        assert float(jax.jit(softmin)(values, beta)) == expected
    slope, bend = jax.grad(softmin, 1), jax.grad(jax.grad(softmin, 1), 1)
    np.testing.assert_allclose(slope(values, 0.0), -jnp.mean(centred**2) / 2)
    np.testing.assert_allclose(bend(values, 0.0), jnp.mean(centred**3) / 3)
    assert slope(values, INF) == bend(values, INF) == 0
    np.testing.assert_allclose(jax.grad(softmin)(values, 0.0), 0.25)
    np.testing.assert_allclose(jax.grad(softmin)(values, INF), [0.5, 0, 0.5, 0])
    np.testing.assert_allclose(jax.hessian(softmin)(values, 0.0), 0)
    np.testing.assert_allclose(jax.hessian(softmin)(values, INF), 0)
    np.testing.assert_allclose(jax.jacfwd(jax.grad(softmin), 1)(values, 0.0), -centred / 4)
    np.testing.assert_allclose(jax.jacrev(jax.grad(softmin), 1)(values, INF), 0)
    np.testing.assert_allclose(jax.grad(softmin, 2)(values, 0.0, jnp.zeros(4)), centred / 4)
    np.testing.assert_allclose(jax.grad(softmin, 2)(values, INF, jnp.zeros(4)), 0)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [1e-6, 1e-2, 1.0, 1e3])
def test_derivatives_are_those_of_the_formula(x64, beta):
    values, weights = jnp.asarray(energies(0, 7), float), jnp.linspace(-2, 1, 7)
    naive = lambda v, b, w: -jax.nn.logsumexp(-b * (v - v.min()) + w - jax.nn.logsumexp(w)) / b + v.min()
    for argument in (0, 2):
        derivative = jax.jacrev(softmin, argument)(values, beta, weights)
        np.testing.assert_allclose(derivative, jax.jacrev(naive, argument)(values, beta, weights), rtol=1e-7, atol=1e-7)
    hessian = jax.hessian(softmin)(values, beta, weights)
    np.testing.assert_allclose(hessian, jax.hessian(naive)(values, beta, weights), rtol=1e-6, atol=1e-9)
    _, slope, bend, _ = exact(np.asarray(values, np.float32), beta, weights)
    np.testing.assert_allclose(jax.grad(softmin, 1)(values, beta, weights), float(slope), rtol=1e-9)
    np.testing.assert_allclose(jax.grad(jax.grad(softmin, 1), 1)(values, beta, weights), float(bend), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 1e-30, 1.0, 1e20, 1e30, INF])
@pytest.mark.parametrize("value", [-490.66614, 1e-3, 7.77e8])
def test_equal_energies_are_their_own_free_energy(beta, value):
    values = jnp.full(7, value)
    np.testing.assert_allclose(softmin(values, beta), value, rtol=3e-7)
    assert float(jax.grad(softmin, 1)(values, beta)) == pytest.approx(0, abs=1e-12 * value**2)


@pytest.mark.slow
def test_a_static_and_a_traced_infinity_agree(x64):
    """The static one takes a path without exponentials; values, shares, and derivatives are the same, at ties too."""
    for values in ([1.0, 3.0, 1.0, 7.0], [2.0, 0.5, 4.0, 0.7], [1.0, jnp.inf, 1.0, 2.0]):
        values, weights = jnp.array(values), jnp.array([0.0, 1.0, 2.0, -jnp.inf])
        for function in (softmin, softmax, softargmin, softargmax, jax.grad(softmin), jax.hessian(softmin)):
            if function in (softmax, softargmax) and jnp.isinf(values).any():
                continue
            static, traced = function(values, INF, weights), jax.jit(function)(values, INF, weights)
            np.testing.assert_allclose(static, traced)


@pytest.mark.slow
def test_forbidden_states():
    values = jnp.array([1.0, jnp.inf, 3.0])
    np.testing.assert_allclose(softmin(values, 2.0), float(exact([1, 3, 1e30], 2.0)[0]), rtol=1e-6)
    assert softmin(values, INF) == 1.0
    assert softmin(values, 0.0) == jnp.inf
    assert jnp.isfinite(jax.grad(softmin, 1)(values, 2.0))
    np.testing.assert_allclose(softargmin(values, INF), [1, 0, 0])
    assert softmin(jnp.full(2, jnp.inf), 1.0) == jnp.inf
    assert jnp.isnan(softmin(jnp.array([jnp.nan, 1.0]), INF))


def test_points_of_weight_zero_do_not_exist():
    values, weights = jnp.array([0.0, 1.0, 3.0]), jnp.array([-jnp.inf, 0.0, 0.0])
    for beta in (0.0, 0.7, INF):
        assert softmin(values, beta, weights) == softmin(values[1:], beta)
        assert softargmin(values, beta, weights)[0] == 0


finite = st.floats(-1e3, 1e3, width=32)
temperatures = st.one_of(st.just(0.0), st.just(INF), st.floats(2.0**-60, 2.0**60, width=32))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(finite, min_size=4, max_size=4), temperatures, st.floats(1.5, 100.0, width=32), finite)
def test_algebra(values, beta, factor, shift):
    values = jnp.asarray(values, jnp.float32)
    rounding = 4e-6 * (float(jnp.abs(values).max()) + abs(shift)) + 1e-30
    cold, warm = (float(softmin(values, b)) for b in (np.float32(beta * factor), np.float32(beta)))
    assert float(values.min()) - rounding <= warm <= float(values.mean()) + rounding
    assert cold <= warm + rounding
    assert abs(float(softmin(values + jnp.float32(shift), np.float32(beta))) - shift - warm) <= rounding
    assert abs(float(softmin(values[::-1], np.float32(beta))) - warm) <= rounding
    assert abs(float(softmax(-values, np.float32(beta))) + warm) <= rounding
    share = softargmin(values, np.float32(beta))
    assert abs(float(share.sum()) - 1) < 1e-6
    np.testing.assert_allclose(softargmax(-values, np.float32(beta)), share)


@pytest.mark.slow
def test_axis_and_batches():
    values = jax.random.normal(jax.random.key(0), (3, 4, 5))
    weights = jnp.arange(4.0)
    for beta in (0.0, 1.3, INF):
        reduced = softmin(values, beta, weights, axis=1)
        one_by_one = jax.vmap(jax.vmap(lambda v: softmin(v, beta, weights), in_axes=1))(values)
        np.testing.assert_allclose(reduced, one_by_one, rtol=1e-6)
        np.testing.assert_allclose(softargmin(values, beta, weights, axis=1).sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.slow
def test_dtypes_and_integers():
    assert softmin(jnp.array([1, 3]), 0.0) == 2.0
    assert softmin(jnp.ones(2, jnp.bfloat16), 1.0).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((jnp.ones(2), -1.0), r"beta: got -1\.0"),
        ((jnp.ones(2), float("nan")), "beta: got nan"),
        ((jnp.ones(2), jnp.ones(2)), "beta: got shape"),
        ((jnp.ones(0), 1.0), "at least one value"),
        ((jnp.ones(2), 1.0, jnp.ones(3)), "log_weights: got shape"),
        ((jnp.ones(2), 1.0, None, 1), "axis: got 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    for function in (softmin, softmax, softargmin, softargmax):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_a_traced_negative_beta_gives_nan():
    assert jnp.isnan(jax.jit(softmin)(jnp.ones(2), -1.0))
    assert jnp.isnan(jax.jit(softargmin)(jnp.arange(2.0), -1.0)).all()


@pytest.mark.parametrize("beta", [0.0, 0.7, INF])
def test_reduced_energies_have_the_slope_beta_at_zero_too(beta):
    values = jnp.array([-2.0, 0.0, 3.0])
    finite = beta < INF
    np.testing.assert_array_equal(reduced(values, beta)[1], 0.0)
    slopes = jax.vmap(jax.grad(lambda value: reduced(value, beta)))(values)
    np.testing.assert_array_equal(slopes, jnp.full(3, beta, jnp.float32) if finite else jnp.array([INF, 0.0, INF]))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2**12 + 1, 2**20])
@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0, 5.0])
def test_many_energies_are_as_exact_as_few(size, beta):
    """A dot product over 2^20 points is wrong by 3.5e-4, a pairwise sum by 1e-7."""
    values = np.random.default_rng(0).normal(size=size).astype(np.float32) + np.float32(5)
    exact_values, least = values.astype(np.float64), float(values.min())
    terms = np.exp(-beta * (exact_values - least))
    free = least - np.log(terms.mean()) / beta if beta else exact_values.mean()
    share = terms / terms.sum()
    mean = (share * exact_values).sum()
    np.testing.assert_allclose(softmin(values, beta), free, rtol=3e-6)
    np.testing.assert_allclose(softargmin(values, beta), share, rtol=1e-5)
    along = np.random.default_rng(1).normal(size=size).astype(np.float32)
    _, slope = jax.jvp(lambda v: softmin(v, beta), (values,), (along,))
    np.testing.assert_allclose(slope, (share * along).sum(), atol=1e-6)
    curved = jax.jvp(jax.grad(lambda v: softmin(v, beta)), (values,), (along,))[1]
    truth = -beta * share * (along - (share * along).sum())
    np.testing.assert_allclose(curved, truth, atol=1e-5 * np.abs(truth).max() + 1e-12)
    if beta:
        bend = -((share * (exact_values - mean) ** 2).sum() + 2 * (mean - free) / beta) / beta
        np.testing.assert_allclose(jax.grad(softmin, 1)(values, beta), (mean - free) / beta, rtol=1e-4)
        np.testing.assert_allclose(jax.grad(jax.grad(softmin, 1), 1)(values, beta), bend, rtol=1e-2)


NOT_FINITE = {
    "forbidden": ([1.0, INF, 1.0], [0.5, 0, 0.5]),
    "certain": ([1.0, -INF, 2.0], [0, 1, 0]),
    "two certain, one forbidden": ([-INF, INF, -INF], [0.5, 0, 0.5]),
    "all forbidden": ([INF, INF, INF], [np.nan] * 3),
    "not a number": ([1.0, np.nan, 2.0], [np.nan] * 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 1e-6, 1.0, 1e6, INF])
@pytest.mark.parametrize("name", NOT_FINITE)
def test_energies_that_are_not_finite_have_one_meaning_at_every_beta(name, beta):
    values, share = jnp.array(NOT_FINITE[name][0]), NOT_FINITE[name][1]
    for function in (softargmin, jax.grad(softmin)):
        np.testing.assert_allclose(function(values, beta), share, rtol=1e-5)
        np.testing.assert_allclose(jax.jit(function)(values, beta), share, rtol=1e-5)
        if beta in (0.0, INF):
            continue
        np.testing.assert_allclose(function(np.asarray(values, np.float16), beta), share, rtol=1e-2)
    static, traced = softmin(values, beta), jax.jit(softmin)(values, beta)
    np.testing.assert_array_equal(static, traced)
    if name in ("certain", "two certain, one forbidden"):
        assert static == -INF
    if name == "all forbidden" or (name == "forbidden" and beta == 0):
        assert static == INF


def test_the_ends_of_the_range_of_floats():
    wide = jnp.array([0.0, 1e20])
    np.testing.assert_allclose(softmin(wide, 0.0), 5e19, rtol=1e-6)
    assert jax.grad(softmin, 1)(wide, 0.0) == -INF  # half of the variance is above the largest number
    widest = jnp.array([-3e38, 3e38])
    np.testing.assert_allclose([softmin(widest, beta) for beta in (0.0, 1.0, INF)], [0, -3e38, -3e38], rtol=1e-6)
    np.testing.assert_allclose(softargmin(widest, 0.0), 0.5)


@pytest.mark.slow
def test_half_precision_is_computed_in_single():
    values = jnp.array([0.0, 300.0, 600.0], jnp.float16)
    for beta in (0.0, 1e-6, 1e-3, 1.0):  # of which float16 knows two
        np.testing.assert_allclose(softmin(values, beta), softmin(values.astype(jnp.float32), beta), rtol=1e-3)
    many = jnp.ones(70_000, jnp.float16).at[0].set(0)
    np.testing.assert_allclose(softmin(many, 0.0), 1, rtol=1e-3)
    assert jax.grad(softmin, 1)(values, INF) == 0


@pytest.mark.parametrize("unit", [1e-30, 1e-21, 1e9, 1e30])
def test_another_unit_of_energy(unit):
    values = jnp.array([1.0, 3.0, 2.5])
    for beta in (1e-5, 1e-3, 1.0, 100.0):
        scaled = softmin(values * unit, np.float32(beta / unit))
        np.testing.assert_allclose(scaled / unit, softmin(values, beta), rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, ">f8", np.float64])
def test_any_numbers(dtype):
    values = np.array([0, 1, 1], dtype)
    for function in (softmin, softmax, softargmin, softargmax, reduced):
        wanted = function(jnp.asarray(values, jnp.float32), 0.7) if function is not reduced else [0, 0.7, 0.7]
        np.testing.assert_allclose(function(values, 0.7), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match="values: got a str"):
        softmin("energies", 1.0)


def test_a_forbidden_state_is_forbidden_when_it_is_hot():
    np.testing.assert_array_equal(reduced(jnp.array([INF, -INF, 2.0]), 0.0), [INF, -INF, 0])
