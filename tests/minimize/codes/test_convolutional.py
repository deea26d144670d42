"""Codes by the Fourier ADMM against scikit-learn, FISTA and coordinate-wise conditions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Lasso

from ebmjax.energies import convolutional_encoder
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import elastic_net, l1, non_negative
from ebmjax.minimize.codes.convolutional import convolutional_admm
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT
from tests.energies.test_convolutional_sparse_coding import BORDERS, CHANNELS, example, matrix


def lasso(params, y, shape, reconstruction, weight):
    """scikit-learn divides the misfit by the number of pixels, so that its weight has to be divided too."""
    dense = matrix(params, jnp.zeros(shape), reconstruction)
    solver = Lasso(weight / len(dense), fit_intercept=False, tol=1e-13, max_iter=1_000_000)
    return jnp.asarray(solver.fit(dense, np.asarray(y).ravel()).coef_.reshape(shape))


@pytest.mark.slow
@CHANNELS
def test_admm_finds_scikit_learns_code(x64, channels):
    params, y, z = example(coding.periodic, channels)
    known = lasso(params, y, z.shape, coding.periodic, 0.3)
    least = coding.energy(params, l1(0.3), y, known)
    solution = jax.jit(partial(convolutional_admm, params, l1(0.3), max_steps=2000, tolerance=1e-9))(y)
    assert solution.result == CONVERGED
    assert solution.energy <= least * (1 + 1e-8)
    assert solution.energy >= least * (1 - 1e-8)
    np.testing.assert_allclose(coding.energy(params, l1(0.3), y, solution.value), solution.energy, rtol=1e-12)


@pytest.mark.slow
@BORDERS
@CHANNELS
def test_fista_finds_scikit_learns_code(x64, reconstruction, channels):
    params, y, z = example(reconstruction, channels)
    known = lasso(params, y, z.shape, reconstruction, 0.3)
    smooth = lambda z: coding.misfit(params, y, z, reconstruction)
    bound = coding.lipschitz(params, z.shape[1:])
    solution = jax.jit(lambda z: fista_restarted(smooth, l1(0.3), z, bound, None, 5000, 1e-9))(jnp.zeros_like(z))
    np.testing.assert_allclose(solution.energy, coding.energy(params, l1(0.3), y, known, reconstruction), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "regularizer"),
    [((), l1(0.2)), ((3,), elastic_net(0.2, 0.1)), ((), non_negative(0.2))],
)
def test_the_gap_holds_at_every_step(x64, channels, regularizer):
    """For any number of steps, penalty and start: E - E* ≤ gap, and E is never above that of the start."""
    params, y, z = example(coding.periodic, channels)
    known = jax.jit(lambda: convolutional_admm(params, regularizer, y, max_steps=3000, tolerance=1e-11))()
    assert known.result == CONVERGED

    @jax.jit
    @jax.vmap
    def runs(start, penalty):
        few, more = (convolutional_admm(params, regularizer, y, start, penalty, steps, 0.0) for steps in (5, 20))
        return coding.energy(params, regularizer, y, start), few, more

    starts = jnp.stack([jnp.zeros_like(z), jnp.abs(z), known.value])
    first, few, more = runs(starts, jnp.array([1.0, 0.01, 100.0]))
    assert (few.steps == 5).all()
    assert (few.result == STEP_LIMIT).all()
    for solution in (few, more):
        assert (solution.energy - (known.energy - known.gap) >= -1e-12).all()
        assert (solution.energy - known.energy <= solution.gap + 1e-12).all()
        assert (solution.energy <= first * (1 + 1e-12)).all()
    assert (more.gap < few.gap).all()


@pytest.mark.slow
def test_both_solvers_agree_near_a_prediction(x64):
    params, y, z = example(coding.periodic, (3,))
    near = convolutional_encoder.near_prediction(l1(0.3), 0.2 * z, 0.5)
    by_admm = jax.jit(lambda z: convolutional_admm(params, near, y, z, max_steps=2000, tolerance=1e-10))(0.2 * z)
    smooth = partial(coding.misfit, params, y)
    bound = coding.lipschitz(params, z.shape[1:])
    by_fista = jax.jit(lambda z: fista_restarted(smooth, near, z, bound, None, 4000, 1e-10))(0.2 * z)
    assert by_admm.result == by_fista.result == CONVERGED
    np.testing.assert_allclose(by_admm.energy, by_fista.energy, rtol=1e-9)
    np.testing.assert_allclose(by_admm.value, by_fista.value, atol=1e-4)  # strongly convex: the code is unique


@pytest.mark.slow
def test_single_precision_and_odd_sizes():
    params, y, z = example(coding.periodic, (), 4, (5, 5), (15, 13))
    solution = jax.jit(partial(convolutional_admm, params, l1(0.1), max_steps=1000, tolerance=1e-4))(y)
    smooth, bound = partial(coding.misfit, params, y), coding.lipschitz(params, z.shape[1:])
    other = jax.jit(lambda z: fista_restarted(smooth, l1(0.1), z, bound, None, 1000, 1e-4))(jnp.zeros_like(z))
    assert solution.result == CONVERGED
    np.testing.assert_allclose(solution.energy, other.energy, rtol=2e-4)


@pytest.mark.slow
def test_many_pictures_and_weights_at_once():
    params, y, _ = example(coding.periodic)
    pictures, weights = jnp.stack([y, 2 * y]), jnp.array([0.2, 0.5])
    solve = jax.jit(lambda y, weight: convolutional_admm(params, l1(weight), y, tolerance=1e-3))
    together = jax.jit(jax.vmap(solve))(pictures, weights)
    for index in range(2):
        alone = solve(pictures[index], weights[index])
        np.testing.assert_allclose(together.energy[index], alone.energy, rtol=1e-4)


@pytest.mark.slow
def test_the_energy_has_the_slopes_of_the_minimum(x64):
    """Danskin's theorem, against finite differences of the least energy."""
    params, y, _ = example(coding.periodic)
    least = lambda y, weight: convolutional_admm(params, l1(weight), y, max_steps=3000, tolerance=1e-12).energy
    by_y, by_weight = jax.jit(jax.grad(least, (0, 1)))(y, 0.3)
    least = jax.jit(least)
    step = jnp.zeros_like(y).at[2, 3].set(1e-4)
    np.testing.assert_allclose(by_y[2, 3], (least(y + step, 0.3) - least(y - step, 0.3)) / 2e-4, rtol=1e-5)
    np.testing.assert_allclose(by_weight, (least(y, 0.3001) - least(y, 0.2999)) / 2e-4, rtol=1e-5)


@pytest.mark.slow
def test_a_black_picture_has_no_code():
    params, y, _ = example(coding.periodic)
    solution = jax.jit(partial(convolutional_admm, params, l1(0.1)))(jnp.zeros_like(y))
    assert solution.result == CONVERGED
    assert solution.energy == 0
    assert not solution.value.any()


def test_a_picture_of_nothing_diverges():
    params, y, _ = example(coding.periodic)
    solution = jax.jit(partial(convolutional_admm, params, l1(0.1)))(y.at[0, 0].set(jnp.nan))
    assert solution.result == DIVERGED
    assert solution.gap == jnp.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda params, y: convolutional_admm(coding.Params(0 * params.kernels), l1(0.1), y),
            "kernels: got a kernel of zeros",
        ),
        (lambda params, y: convolutional_admm(params, l1(0.1), y[:2]), "y: got shape"),
        (lambda params, y: convolutional_admm(params, l1(0.1), y[..., None]), "y: got shape"),
        (lambda params, y: convolutional_admm(params, l1(0.1), y, jnp.zeros((3, 5, 5))), "start: got shape"),
        (lambda params, y: convolutional_admm(params, l1(0.1), y, None, 0.0), "penalty: got 0.0"),
        (lambda params, y: convolutional_admm(params, l1(0.1), y, max_steps=0), "max_steps: got 0"),
        (lambda params, y: convolutional_admm(params, l1(0.1), y, tolerance=-1.0), "tolerance: got -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    params, y, _ = example(coding.periodic)
    with pytest.raises(ValueError, match=message):
        call(params, y)
