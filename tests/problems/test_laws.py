"""The moments of the laws, each found a second way from the energy itself, and the energies by their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.problems.laws.banana import banana
from ebmjax.problems.laws.eight_schools import eight_schools
from ebmjax.problems.laws.ellipse_posterior import ellipse_posterior
from ebmjax.problems.laws.funnel import funnel
from ebmjax.problems.laws.gaussian import gaussian
from ebmjax.problems.laws.logistic import logistic_regression
from ebmjax.problems.laws.many_well import many_well
from ebmjax.problems.laws.mixture import mixture
from ebmjax.problems.laws.problem import exact, normal_fourth
from ebmjax.problems.laws.radon import radon
from ebmjax.problems.laws.volatility import returns, stochastic_volatility

BETA = 1.7


def in_the_plane(problem, low, high, funnelled=False):
    """Means of x, x² and x⁴ by a sum over a grid; the second coordinate in units of exp(x₁/2) in a funnel."""
    sides = [np.linspace(*ends, 1000) for ends in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    volume = points[:, 0] / 2 if funnelled else 0.0
    if funnelled:
        points[:, 1] *= np.exp(volume)
    energies = jax.jit(jax.vmap(problem.energy))(jnp.asarray(points, jnp.float32))
    exponents = volume - problem.beta * np.asarray(energies, np.float64)
    weights = np.exp(exponents - exponents.max())
    weights /= weights.sum()
    return [weights @ points**power for power in (1, 2, 4)]


@pytest.mark.parametrize(
    ("problem", "low", "high"),
    [
        (banana(BETA), (-60, -13), (60, 100)),
        (mixture(), (-12, -12), (12, 12)),
        (ellipse_posterior(BETA), (-3, -3), (3, 3)),
        (ellipse_posterior(40.0), (-2, -2), (2, 2)),
        (many_well(1, BETA), (-4, -6), (4, 6)),
        (funnel(2, BETA), (-22, -9), (29, 9)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_laws_of_the_plane_by_a_grid(problem, low, high):
    """In single precision the exponents are known to about 10⁻⁵."""
    means, squares, fourths = in_the_plane(problem, low, high, problem.name == "funnel")
    unit = np.sqrt(problem.truth.squares)
    np.testing.assert_allclose(means / unit, problem.truth.means / unit, atol=3e-4)
    np.testing.assert_allclose(squares, problem.truth.squares, rtol=3e-4)
    np.testing.assert_allclose(np.sqrt(fourths - squares**2), problem.truth.square_sds, rtol=1e-3)


def test_all_pairs_of_wells_and_all_arms_of_the_funnel_are_alike():
    for problem, pair, places in (
        (many_well(3), many_well(1), [0, 0, 0, 1, 1, 1]),
        (funnel(4), funnel(2), [0, 1, 1, 1]),
    ):
        np.testing.assert_array_equal(problem.truth.means, pair.truth.means[places])
        np.testing.assert_array_equal(problem.truth.squares, pair.truth.squares[places])
    # the energies of pairs add
    x = jnp.array([1.0, -2.0, 0.5, 0.3, -1.0, 2.0])
    parts = sum(many_well(1).energy(x[jnp.array([i, i + 3])]) for i in range(3))
    np.testing.assert_allclose(many_well(3).energy(x), parts, rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_the_gaussian_has_the_covariance_of_its_hessian(condition):
    problem = gaussian(6, condition, BETA)
    centre = jnp.asarray(problem.truth.means)
    np.testing.assert_allclose(jax.grad(problem.energy)(centre), 0, atol=1e-6)
    variances = np.diag(np.linalg.inv(BETA * np.asarray(jax.hessian(problem.energy)(centre))))
    np.testing.assert_allclose(problem.truth.squares, variances + problem.truth.means**2, rtol=1e-5)
    spread = np.linalg.eigvalsh(np.asarray(jax.hessian(problem.energy)(centre)))
    np.testing.assert_allclose(spread[-1] / spread[0], condition, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("problem", "scales", "grids"),
    [
        (eight_schools(), [1], [np.linspace(-18, 7.5, 300)]),
        (radon(), [0, 1], [np.linspace(-16, 1.4, 110), np.linspace(-0.7, 0.1, 21)]),
    ],
    ids=["eight schools", "radon"],
)
def test_hierarchies_by_the_hessian_of_the_other_unknowns(problem, scales, grids):
    """For given scales the energy is quadratic: its minimum and its Hessian, by JAX, say all of the other unknowns."""
    others = np.array([place for place in range(problem.unknowns) if place not in scales])
    points = jnp.asarray(np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(scales)))

    def quadratic(scale):
        place = lambda rest: jnp.zeros(problem.unknowns).at[others].set(rest).at[np.array(scales)].set(scale)
        of_rest = lambda rest: problem.energy(place(rest))
        zero = jnp.zeros(len(others))
        return of_rest(zero), jax.grad(of_rest)(zero), jax.hessian(of_rest)(zero)

    # by NumPy: several batches of LAPACK's calls in one program were seen to wait for each other for ever on two cores
    at_zero, slope, hessian = (np.asarray(part) for part in jax.jit(jax.vmap(quadratic))(points))
    least = -np.linalg.solve(hessian, slope[..., None])[..., 0]
    log_weights = -at_zero - (slope * least).sum(axis=1) / 2 - np.linalg.slogdet(hessian)[1] / 2
    variances = np.diagonal(np.linalg.inv(hessian), axis1=1, axis2=2)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    moments = np.zeros((3, problem.unknowns))
    moments[:, others] = weights @ least, weights @ (least**2 + variances), weights @ normal_fourth(least, variances)
    moments[:, scales] = [weights @ np.asarray(points) ** power for power in (1, 2, 4)]
    truth = problem.truth
    np.testing.assert_allclose(moments[0], truth.means, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(moments[1], truth.squares, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(moments[2] - moments[1] ** 2), truth.square_sds, rtol=1e-4)


def test_the_mean_effect_of_the_eight_schools_is_the_published_one():
    """posteriordb, eight_schools_noncentered: the mean of μ is 4.4 and its standard deviation 3.3."""
    truth = eight_schools().truth
    assert abs(truth.means[0] - 4.4) < 0.05
    assert abs(np.sqrt(truth.squares[0] - truth.means[0] ** 2) - 3.3) < 0.05


def test_logistic_regression_by_its_definition():
    random = np.random.default_rng(1)
    features, labels = random.normal(size=(9, 2)), np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    problem = logistic_regression(features, labels, 0.5)
    for weights in random.normal(size=(3, 3)):
        field = weights[0] + features @ weights[1:]
        chances = np.where(labels == 1, 1 / (1 + np.exp(-field)), 1 / (1 + np.exp(field)))
        wanted = -np.log(chances).sum() + np.sum(weights**2) / (2 * 0.25)
        np.testing.assert_allclose(problem.energy(jnp.asarray(weights, jnp.float32)), wanted, rtol=1e-5)


def test_stochastic_volatility_by_its_definition():
    """Differences of energies between points, since the energy leaves constants out."""
    data, problem = returns(6), stochastic_volatility(6)

    def by_densities(x):
        level, spread, up, path = x[0], np.exp(x[1]), 1 / (1 + np.exp(-x[2])), x[3:]
        persistence = 2 * up - 1
        normal = lambda y, mean, sd: -((y - mean) ** 2) / (2 * sd**2) - np.log(sd)
        prior = -np.log1p((level / 5) ** 2) - np.log1p((spread / 2) ** 2) + x[1]  # x₁ = log σ: dσ = σ dx₁
        prior += 19 * np.log(up) + 0.5 * np.log(1 - up) + np.log(up * (1 - up))
        paths = normal(path[0], 0, 1 / np.sqrt(1 - persistence**2)) + normal(path[1:], persistence * path[:-1], 1).sum()
        return -(prior + paths + normal(data, 0, np.exp((level + spread * path) / 2)).sum())

    points = np.random.default_rng(2).normal(size=(4, 9))
    found = np.array([problem.energy(jnp.asarray(point, jnp.float32)) for point in points])
    wanted = np.array([by_densities(point) for point in points])
    np.testing.assert_allclose(found - found[0], wanted - wanted[0], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_chains_start_where_energy_and_gradient_are_finite():
    problems = [gaussian(), banana(), funnel(), mixture(), ellipse_posterior(1e4), many_well(), stochastic_volatility()]
    for problem in [*problems, eight_schools(), radon()]:
        from_start = jax.vmap(lambda key: jax.value_and_grad(problem.energy)(problem.start(key)))
        values, gradients = jax.jit(from_start)(jax.random.split(jax.random.key(0), 30))
        assert gradients.shape == (30, problem.unknowns)
        assert np.isfinite(values).all()
        assert np.isfinite(gradients).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian(0), "unknowns: got 0"),
        (lambda: gaussian(3, 0.5), "condition: got 0.5"),
        (lambda: banana(0.0), "beta: got 0"),
        (lambda: funnel(1), "unknowns: got 1"),
        (lambda: many_well(0), "pairs: got 0"),
        (lambda: mixture(width=-1.0), "width: got -1"),
        (lambda: ellipse_posterior(1.0, (1.0, 2.0, 3.0)), "y: got shape"),
        (lambda: stochastic_volatility(0), "steps: got 0"),
        (lambda: logistic_regression(np.ones((2, 1)), [0, 2]), "labels: got other numbers"),
        (lambda: logistic_regression(np.ones((2, 1)), [0]), "labels: got shape"),
        (lambda: exact([1.0], [0.5], [1.0], ""), "squares: got moments of no law"),
        (lambda: exact([1.0], [1.0, 2.0], [1.0], ""), "means: got shape"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
