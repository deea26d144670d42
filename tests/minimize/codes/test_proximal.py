"""Exact sparse codes: optimality conditions, other solvers, certificates, and result codes of every solver.

Truth is a plain coordinate descent in NumPy, and scikit-learn where it is installed.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import is_static
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import elastic_net, group, l1, non_negative
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.codes.admm import admm
from ebmjax.minimize.codes.certificate import certificate
from ebmjax.minimize.codes.coordinate import coordinate_descent
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT

LIPSCHITZ_SOLVERS = {
    "ista": proximal.ista,
    "fista": proximal.fista,
    "fista_restarted": proximal.fista_restarted,
}


def _with_lipschitz(solver):
    def solve(params, regularizer, y, max_steps=20_000, tolerance=1e-10):
        smooth, start = partial(sparse_coding.misfit, params, y), jnp.zeros(params.dictionary.shape[1], y.dtype)
        return solver(smooth, regularizer, start, curvature(params), max_steps=max_steps, tolerance=tolerance)

    return solve


def _backtracking(params, regularizer, y, max_steps=20_000, tolerance=1e-10):
    smooth, start = partial(sparse_coding.misfit, params, y), jnp.zeros(params.dictionary.shape[1], y.dtype)
    return proximal.backtracking(smooth, regularizer, start, max_steps=max_steps, tolerance=tolerance)


def _admm(params, regularizer, y, max_steps=20_000, tolerance=1e-10):
    return admm(params, regularizer, y, max_steps=max_steps, tolerance=tolerance)


# `params, regularizer, y, max_steps, tolerance -> Solution`
SOLVERS = {name: _with_lipschitz(solver) for name, solver in LIPSCHITZ_SOLVERS.items()} | {
    "backtracking": _backtracking,
    "admm": _admm,
}
# with solvers that have a test file of their own
PEERS = SOLVERS | {
    "coordinate_descent": lambda params, regularizer, y: coordinate_descent(
        params, regularizer, y, max_steps=1000, tolerance=1e-10
    )
}
# as functions of λ_max
REGULARIZERS = {
    "l1": lambda largest: l1(0.2 * largest),
    "elastic net": lambda largest: elastic_net(0.15 * largest, 0.3),
    "non-negative": lambda largest: non_negative(0.2 * largest),
    "group": lambda largest: group(0.25 * largest, 3),
}


CASES = [
    (solver, name) for solver in PEERS for name in REGULARIZERS if (solver, name) != ("coordinate_descent", "group")
]


def problem(observed=20, atoms=36):
    """A dictionary, an observation of five atoms and noise, and λ_max."""
    random = np.random.default_rng(3)
    dictionary = random.normal(size=(observed, atoms))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    y = dictionary[:, :5] @ random.normal(size=5) + 0.05 * random.normal(size=observed)
    return sparse_coding.Params(jnp.asarray(dictionary)), jnp.asarray(y), float(abs(dictionary.T @ y).max())


def curvature(params):
    """L of a dictionary, which may be traced."""
    if is_static(params.dictionary):
        return float(np.linalg.eigvalsh(np.asarray(params.dictionary).T @ np.asarray(params.dictionary))[-1])
    return sparse_coding.lipschitz(params)


@cache
def compiled(solver, name):
    """`y, largest -> Solution` of the problem, to a gap of 1e-10: one compilation for several tests."""
    params, _, _ = problem()
    return jax.jit(lambda y, largest: PEERS[solver](params, REGULARIZERS[name](largest), y))


def coordinate_truth(params, y, weight, ridge=0.0, positive=False, sweeps=3000):
    """The least energy and its code, by coordinate descent in double precision."""
    dictionary, y = np.asarray(params.dictionary, float), np.asarray(y, float)
    z, residual = np.zeros(dictionary.shape[1]), y.copy()
    squares = (dictionary**2).sum(axis=0)
    for _ in range(sweeps):
        old = z.copy()
        for i, atom in enumerate(dictionary.T):
            pull = atom @ residual + squares[i] * z[i]
            size = max((pull if positive else abs(pull)) - weight, 0) / (squares[i] + ridge)
            new = size if positive else np.sign(pull) * size
            residual += atom * (z[i] - new)
            z[i] = new
        if np.abs(z - old).max() < 1e-14:
            break
    return residual @ residual / 2 + weight * np.abs(z).sum() + ridge * z @ z / 2, z


TRUTHS = {
    "l1": lambda params, y, largest: coordinate_truth(params, y, 0.2 * largest),
    "elastic net": lambda params, y, largest: coordinate_truth(params, y, 0.15 * largest, 0.3),
    "non-negative": lambda params, y, largest: coordinate_truth(params, y, 0.2 * largest, positive=True),
}


def violations(name, params, y, z, largest):
    """The violation of each optimality condition."""
    slope = params.dictionary.T @ (params.dictionary @ z - y)
    if name == "group":
        weight, z, slope = 0.25 * largest, z.reshape(-1, 3), slope.reshape(-1, 3)
        lengths = jnp.linalg.norm(z, axis=1, keepdims=True)
        inside = slope + weight * z / jnp.where(lengths > 0, lengths, 1)
        outside = jnp.maximum(jnp.linalg.norm(slope, axis=1, keepdims=True) - weight, 0)
        return jnp.where(lengths > 0, jnp.abs(inside), outside)
    weight = {"l1": 0.2, "elastic net": 0.15, "non-negative": 0.2}[name] * largest
    slope = slope + 0.3 * z if name == "elastic net" else slope
    outside = jnp.maximum((-slope if name == "non-negative" else jnp.abs(slope)) - weight, 0)
    return jnp.where(z != 0, jnp.abs(slope + weight * jnp.sign(z)), outside)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "name"), CASES)
def test_codes_are_optimal(x64, solver, name):
    params, y, largest = problem()
    solution = compiled(solver, name)(y, largest)
    assert int(solution.result) == CONVERGED
    assert 0 <= float(solution.gap) <= 1.0001e-10 * float(solution.energy)
    assert 2 < int(jnp.sum(solution.value != 0)) < 30  # neither empty nor dense, so that the test is not trivial
    assert float(violations(name, params, y, solution.value, largest).max()) < 1e-5
    energy = sparse_coding.energy(params, REGULARIZERS[name](largest), y, solution.value)
    np.testing.assert_allclose(solution.energy, energy, rtol=1e-12)
    if name == "non-negative":
        assert (solution.value >= 0).all()
    if name in TRUTHS:
        least, code = TRUTHS[name](params, y, largest)
        np.testing.assert_allclose(solution.energy, least, rtol=1e-9)
        np.testing.assert_allclose(solution.value, code, atol=1e-4)


@pytest.mark.slow
def test_the_truth_agrees_with_scikit_learn(x64):
    """Its Lasso divides the squares by the number of rows, which is `observed` here: alpha = λ / observed."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    params, y, largest = problem()
    rows, settings = y.shape[0], {"fit_intercept": False, "tol": 1e-14, "max_iter": 100_000}
    for name, weight, ridge, model in (
        ("l1", 0.2, 0.0, linear_model.Lasso(alpha=0.2 * largest / rows, **settings)),
        ("non-negative", 0.2, 0.0, linear_model.Lasso(alpha=0.2 * largest / rows, positive=True, **settings)),
        (
            "elastic net",
            0.15,
            0.3,
            linear_model.ElasticNet(
                alpha=(0.15 * largest + 0.3) / rows, l1_ratio=0.15 * largest / (0.15 * largest + 0.3), **settings
            ),
        ),
    ):
        code = model.fit(np.asarray(params.dictionary), np.asarray(y)).coef_
        squares = ((np.asarray(y) - np.asarray(params.dictionary) @ code) ** 2).sum() + ridge * (code**2).sum()
        theirs = squares / 2 + weight * largest * np.abs(code).sum()
        np.testing.assert_allclose(theirs, TRUTHS[name](params, y, largest)[0], rtol=1e-6)
        for solver in PEERS:
            np.testing.assert_allclose(compiled(solver, name)(y, largest).energy, theirs, rtol=1e-6)


@pytest.mark.parametrize("solver", PEERS)
def test_from_the_largest_weight_on_the_code_is_zero(x64, solver):
    _, y, largest = problem()
    for factor in (1 + 1e-12, 2.0):  # times λ_max
        solution = compiled(solver, "l1")(y, 5 * factor * largest)
        assert int(solution.result) == CONVERGED
        np.testing.assert_array_equal(solution.value, 0)
    assert (compiled(solver, "l1")(y, 5 * 0.95 * largest).value != 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", REGULARIZERS)
def test_the_certificate_holds_anywhere(x64, name):
    """energy - least ≤ gap and energy ≤ bound, at any point and value; both bounds are tight at the best code."""
    params, y, largest = problem()
    regularizer = REGULARIZERS[name](largest)
    best = compiled("fista_restarted", name)(y, largest)
    smooth = partial(sparse_coding.misfit, params, y)

    @jax.jit
    @jax.vmap
    def check(point, value):
        height, slope = jax.value_and_grad(smooth)(point)
        bound, gap = certificate(regularizer, height, slope, point, value, curvature(params))
        return smooth(value) + regularizer.value(value), bound, gap

    random = np.random.default_rng(0)
    scale = 10 ** random.uniform(-6, 1, size=(2, 400, 1))
    points, values = np.asarray(best.value) + scale * random.normal(size=(2, 400, 36))
    values = np.where(np.asarray(best.value) == 0, 0, values) if name != "group" else values
    values = np.abs(values) if name == "non-negative" else values
    energies, bounds, gaps = check(jnp.asarray(points), jnp.asarray(values))
    assert (energies <= bounds * (1 + 1e-12)).all()
    assert (energies - best.energy <= gaps * (1 + 1e-9)).all()
    assert ((gaps >= 0) & (gaps <= bounds)).all()
    # near the best code the gap is small
    assert float(gaps[jnp.asarray(scale.max(axis=(0, 2)) < 1e-3)].max()) < 0.05 * float(best.energy)


def textbook(solver, params, y, weight, steps):
    """ISTA, and FISTA with and without restarts, as in the papers."""
    W, y, bound = np.asarray(params.dictionary), np.asarray(y), curvature(params)
    z = v = np.zeros(W.shape[1])
    t = 1.0
    for _ in range(steps):
        w = v - W.T @ (W @ v - y) / bound
        new = np.sign(w) * np.maximum(np.abs(w) - weight / bound, 0)
        restart = solver == "ista" or (solver == "fista_restarted" and (v - new) @ (new - z) > 0)
        following = 1.0 if restart else (1 + (1 + 4 * t**2) ** 0.5) / 2
        v, z, t = new if restart else new + (t - 1) / following * (new - z), new, following
    return z


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_that_is_cut_short_says_so_and_by_how_much(x64, solver):
    params, y, largest = problem()
    best = compiled("fista_restarted", "l1")(y, largest)
    solution = jax.jit(lambda y: SOLVERS[solver](params, l1(0.2 * largest), y, max_steps=30))(y)
    assert (int(solution.result), int(solution.steps)) == (STEP_LIMIT, 30)
    assert 1e-12 < float(solution.energy - best.energy) <= float(solution.gap) < float(solution.energy)
    if solver in LIPSCHITZ_SOLVERS:
        np.testing.assert_allclose(solution.value, textbook(solver, params, y, 0.2 * largest, 30), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_default_tolerance_is_met_in_single_precision(solver):
    params, y, largest = problem()
    solution = jax.jit(lambda y: SOLVERS[solver](params, l1(0.2 * largest), y, tolerance=1e-4))(y)
    assert solution.value.dtype == jnp.float32
    assert int(solution.result) == CONVERGED
    assert float(solution.gap) <= 1.001e-4 * float(solution.energy)
    least, _ = coordinate_truth(params, y, 0.2 * largest)
    assert -1e-6 <= float(solution.energy) / least - 1 <= 1e-4


@pytest.mark.slow
def test_ista_never_goes_uphill(x64):
    """It does not with the largest step size that it allows, either."""
    params, y, largest = problem()
    smooth, bound = partial(sparse_coding.misfit, params, y), curvature(params)
    energy = partial(sparse_coding.energy, params, l1(0.05 * largest), y)
    once = jax.jit(lambda z, step: proximal.ista(smooth, l1(0.05 * largest), z, bound, step, max_steps=1))
    for step in (1 / bound, 1.9 / bound, 2 / bound):
        z = jnp.asarray(np.random.default_rng(0).normal(size=36))
        last = float(energy(z))
        for _ in range(50):  # ISTA has no memory, so that a run is the same as many runs of one step
            solution = once(z, step)
            assert float(solution.energy) <= last + 1e-12
            z, last = solution.value, float(solution.energy)


@pytest.mark.slow
def test_restarts_save_steps(x64):
    params, y, largest = problem(60, 50)
    steps = {
        name: int(jax.jit(lambda y: SOLVERS[name](params, l1(0.01 * largest), y).steps)(y))
        for name in ("ista", "fista", "fista_restarted")
    }
    assert 2 * steps["fista_restarted"] < min(steps["fista"], steps["ista"])


@pytest.mark.slow
def test_backtracking_finds_the_curvature_of_any_scale(x64):
    """A logistic energy of unknown curvature, in units a thousand times too large or too small."""
    random = np.random.default_rng(0)
    design = random.normal(size=(60, 8))
    labels = jnp.asarray(np.sign(design @ [2.0, -1, 0, 0, 0, 0, 0, 0] + random.normal(size=60)))
    true = float(np.linalg.eigvalsh(design.T @ design)[-1]) / 4
    design = jnp.asarray(design)
    smooth = lambda z: jnp.sum(jax.nn.softplus(-labels * (design @ z)))
    known = jax.jit(lambda z: proximal.fista_restarted(smooth, l1(3.0), z, true, tolerance=1e-9))(jnp.zeros(8))
    for guess in (None, 1e-8):
        find = lambda scale: proximal.backtracking(
            lambda z: smooth(scale * z), l1(3.0 * scale), jnp.zeros(8), guess, tolerance=1e-9
        )
        for scale in (1e-3, 1.0, 1e3):
            found = jax.jit(find)(scale)
            assert int(found.result) == int(known.result) == CONVERGED
            np.testing.assert_allclose(found.energy, known.energy, rtol=2e-9)


@pytest.mark.slow
def test_a_good_start_saves_steps_and_an_infeasible_one_does_no_harm(x64):
    params, y, largest = problem()
    smooth, regularizer = partial(sparse_coding.misfit, params, y), non_negative(0.2 * largest)
    solve = jax.jit(lambda z: proximal.fista_restarted(smooth, regularizer, z, curvature(params), tolerance=1e-8))
    cold = solve(jnp.zeros(36))
    assert int(solve(compiled("admm", "non-negative")(y, largest).value).steps) == 1
    other = solve(jnp.full(36, -1.0))
    assert int(other.result) == CONVERGED
    np.testing.assert_allclose(other.energy, cold.energy, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["fista_restarted", "backtracking", "admm"])
def test_under_vmap_every_run_stops_for_itself(x64, solver):
    _, y, largest = problem()
    weights = jnp.array([0.25, 1.0, 3.0]) * largest
    ys = jnp.stack([y, -2 * y, y[::-1]])
    together = jax.jit(jax.vmap(compiled(solver, "l1")))(ys, weights)
    assert (together.result == CONVERGED).all()
    for i in range(3):
        alone = compiled(solver, "l1")(ys[i], weights[i])
        assert int(together.steps[i]) == pytest.approx(
            int(alone.steps), rel=0.2
        )  # rounding decides which step is the last
        np.testing.assert_allclose(together.value[i], alone.value, atol=1e-4)
        np.testing.assert_allclose(together.energy[i], alone.energy, rtol=2e-10)
    assert len(set(together.steps.tolist())) == 3


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["fista_restarted", "backtracking", "admm"])
def test_energies_differentiate_by_the_envelope_theorem(x64, solver):
    """∂E*/∂y = y - Wz, ∂E*/∂W = -(y - Wz) zᵀ, ∂E*/∂λ = ‖z‖₁, and the code itself is a constant."""
    params, y, largest = problem()

    def least(params, y, weight):
        solution = SOLVERS[solver](params, l1(weight), y)
        return solution.energy + 7 * solution.value.sum(), solution.value

    (slopes, dy, dweight), z = jax.jit(jax.grad(least, (0, 1, 2), has_aux=True))(params, y, 0.2 * largest)
    residual = y - params.dictionary @ z
    np.testing.assert_allclose(dy, residual, rtol=1e-10)
    np.testing.assert_allclose(slopes.dictionary, -jnp.outer(residual, z), atol=1e-12)
    np.testing.assert_allclose(dweight, jnp.abs(z).sum(), rtol=1e-10)
    low, _ = coordinate_truth(params, y, 0.2 * largest - 1e-5)
    high, _ = coordinate_truth(params, y, 0.2 * largest + 1e-5)
    np.testing.assert_allclose(dweight, (high - low) / 2e-5, rtol=1e-5)


@pytest.mark.slow
def test_codes_of_any_shape(x64):
    """A convolutional code: five filters along a line."""
    random = np.random.default_rng(0)
    filters, y = random.normal(size=(5, 7)) / 7**0.5, jnp.asarray(random.normal(size=30))
    columns = [np.convolve(spike, taps, mode="same") for taps in filters for spike in np.eye(30)]
    params = sparse_coding.Params(jnp.asarray(np.array(columns).T))
    taps = jnp.asarray(filters)
    picture = lambda z: jax.vmap(lambda row, taps: jnp.convolve(row, taps, mode="same"))(z, taps).sum(axis=0)
    smooth = lambda z: jnp.sum((y - picture(z)) ** 2) / 2
    solve = lambda z: proximal.fista_restarted(smooth, l1(0.3), z, curvature(params), tolerance=1e-9)
    solution = jax.jit(solve)(jnp.zeros((5, 30)))
    assert solution.value.shape == (5, 30)
    np.testing.assert_allclose(solution.energy, coordinate_truth(params, y, 0.3)[0], rtol=1e-8)


@pytest.mark.slow
def test_a_lipschitz_that_is_too_small_is_not_believed(x64):
    params, y, largest = problem()
    smooth, bound = partial(sparse_coding.misfit, params, y), curvature(params) / 20
    solve = lambda z, steps: proximal.fista(smooth, l1(0.2 * largest), z, bound, max_steps=steps)
    solution = jax.jit(partial(solve, steps=3))(jnp.zeros(36))
    assert int(solution.result) == STEP_LIMIT
    assert float(solution.gap) == float(solution.energy)
    assert int(jax.jit(partial(solve, steps=5000))(jnp.zeros(36)).result) == DIVERGED


def test_what_is_not_finite_diverges():
    broken = lambda z: jnp.sum(z**2) * jnp.nan
    for solve in (lambda z: proximal.ista(broken, l1(0.1), z, 2), lambda z: proximal.backtracking(broken, l1(0.1), z)):
        solution = jax.jit(solve)(jnp.ones(3))
        assert (int(solution.result), int(solution.steps), float(solution.gap)) == (DIVERGED, 1, float("inf"))


def test_gaps_of_nothing_to_explain_and_of_no_weight():
    run = jax.jit(lambda z: proximal.fista(lambda z: jnp.sum(z**2) / 2, l1(0.1), z, 1.0, tolerance=0.0))(jnp.zeros(3))
    assert (int(run.result), int(run.steps), float(run.gap)) == (CONVERGED, 1, 0.0)
    smooth = lambda z: jnp.sum((z - 1) ** 2) / 2 + 3
    run = jax.jit(lambda z: proximal.ista(smooth, l1(0.0), z, 2.0, max_steps=20))(jnp.zeros(3))
    assert int(run.result) == STEP_LIMIT
    np.testing.assert_allclose(run.gap, 3, rtol=1e-3)  # the whole energy: without a weight there is no bound


def test_bad_arguments_are_named():
    smooth, start = lambda z: jnp.sum(z**2) / 2, jnp.ones(2)
    for solver in LIPSCHITZ_SOLVERS.values():
        for run, message in (
            (lambda: solver(smooth, l1(0.1), start, 1.0, max_steps=0), "max_steps: got 0"),
            (lambda: solver(smooth, l1(0.1), start, 1.0, tolerance=-1.0), "tolerance: got -1"),
            (lambda: solver(smooth, l1(0.1), start, 1.0, tolerance=float("nan")), "tolerance: got nan"),
            (lambda: solver(smooth, l1(0.1), start, 0.0), "lipschitz: got 0"),
            (lambda: solver(smooth, l1(0.1), start, -1.0), "lipschitz: got -1"),
            (lambda: solver(smooth, l1(0.1), start, float("nan")), "lipschitz: got nan"),
            (lambda: solver(smooth, l1(0.1), start, 4.0, step_size=0.6), "step_size: got 0.6, wanted at most 0.5"),
            (lambda: solver(smooth, l1(0.1), start, 1.0, step_size=0.0), "step_size: got 0"),
        ):
            with pytest.raises(ValueError, match=message):
                run()
    for run, message in (
        (lambda: proximal.backtracking(smooth, l1(0.1), start, max_steps=0), "max_steps: got 0"),
        (lambda: proximal.backtracking(smooth, l1(0.1), start, tolerance=-1.0), "tolerance: got -1"),
        (lambda: proximal.backtracking(smooth, l1(0.1), start, 0.0), "lipschitz: got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
