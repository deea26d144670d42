"""Codes at small weights against scikit-learn's path in float64."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import lars_path

from ebmjax.energies.regularizers import elastic_net, l1, non_negative
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes.certificate import certified_by, precise_residual
from ebmjax.minimize.codes.coordinate import coordinate_descent, solve_batch
from ebmjax.minimize.codes.homotopy import follow
from ebmjax.types import CONVERGED

RNG = np.random.default_rng(4)


def unit(dictionary):
    return (dictionary / np.linalg.norm(dictionary, axis=0)).astype(np.float32)


def bumps():
    """Atoms that are nearly alike: their Gram matrix has a condition beyond float32."""
    places = np.linspace(0, 1, 30)[:, None] - np.linspace(0, 1, 60)
    return unit(np.exp(-((places / 0.2) ** 2)))


def twins():
    half = RNG.normal(size=(12, 10))
    return unit(np.concatenate([half, half], axis=1))


DICTIONARIES = {
    "overcomplete": unit(RNG.normal(size=(20, 48))),
    "few atoms": unit(RNG.normal(size=(30, 12))),
    "bumps": bumps(),
    "twins": twins(),
}
solve = jax.jit(lambda dictionary, data, weight: solve_batch(Params(dictionary), l1(weight), data))
solve_positive = jax.jit(lambda dictionary, data, weight: solve_batch(Params(dictionary), non_negative(weight), data))


def energy(dictionary, y, code, weight):
    residual = y.astype(float) - dictionary.astype(float) @ code
    return residual @ residual / 2 + weight * np.abs(code).sum()


def reference(dictionary, y, weight, positive=False):
    """The code of least energy, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it drops one of two equal atoms, and says so
        path = lars_path(
            dictionary.astype(float), y.astype(float), alpha_min=weight / len(y), method="lasso", positive=positive
        )
    return path[2][:, -1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "share", [1e-3, *(pytest.param(share, marks=pytest.mark.slow) for share in (1e-2, 1e-4, 1e-5))]
)
@pytest.mark.parametrize("name", [name for name in DICTIONARIES if name != "bumps"])
def test_codes_at_small_weights_are_certified_and_right(name, share):
    dictionary = DICTIONARIES[name]
    # what the atoms can explain: beside a large residual, float32 does not certify a small weight
    data = (RNG.normal(size=(40, dictionary.shape[1])) @ dictionary.T).astype(np.float32)
    weight = np.float32(share * np.abs(data @ dictionary).max())
    found = solve(dictionary, data, weight)
    assert (found.result == CONVERGED).mean() >= (1 if share > 1e-5 else 0.9)
    sure = np.asarray(found.result) == CONVERGED
    columns = (data, np.asarray(found.value, float), found.energy, found.gap)
    for y, code, claimed, gap in zip(*(column[sure] for column in columns), strict=True):
        ours, least = (energy(dictionary, y, z, float(weight)) for z in (code, reference(dictionary, y, weight)))
        assert ours == pytest.approx(float(claimed), rel=1e-6)
        assert ours - least <= float(gap) <= 1e-3 * ours


@pytest.mark.slow
@pytest.mark.parametrize("share", [1e-3, 1e-5])
def test_beside_a_large_residual_the_gap_still_holds(share):
    dictionary = DICTIONARIES["few atoms"]
    data = RNG.normal(size=(6, 30)).astype(np.float32)
    weight = np.float32(share * np.abs(data @ dictionary).max())
    found = solve(dictionary, data, weight)
    for y, code, gap in zip(data, np.asarray(found.value, float), found.gap, strict=True):
        least = energy(dictionary, y, reference(dictionary, y, weight), float(weight))
        assert energy(dictionary, y, code, float(weight)) - least <= min(float(gap), 1e-5 * least)


@pytest.mark.slow
@pytest.mark.parametrize("share", [1e-2, 1e-4])
def test_codes_of_atoms_that_are_nearly_alike_are_certified_or_not_converged(share):
    dictionary = DICTIONARIES["bumps"]
    data = ((RNG.random((8, 60)) < 0.1) @ dictionary.T + 0.01 * RNG.normal(size=(8, 30))).astype(np.float32)
    weight = np.float32(share * np.abs(data @ dictionary).max())
    found = solve(dictionary, data, weight)
    for y, code, gap, result in zip(data, np.asarray(found.value, float), found.gap, found.result, strict=True):
        ours, least = (energy(dictionary, y, z, float(weight)) for z in (code, reference(dictionary, y, weight)))
        assert ours - least <= float(gap)
        assert result != CONVERGED or gap <= 1e-3 * ours


@pytest.mark.slow
@pytest.mark.parametrize("share", [1e-2, 1e-4])
def test_codes_that_only_add_atoms(share):
    dictionary = DICTIONARIES["overcomplete"]
    data = RNG.normal(size=(6, 20)).astype(np.float32)
    weight = np.float32(share * (data @ dictionary).max())
    found = solve_positive(dictionary, data, weight)
    assert (found.result == CONVERGED).all()
    assert (found.value >= 0).all()
    for y, code in zip(data, np.asarray(found.value, float), strict=True):
        least = energy(dictionary, y, reference(dictionary, y, weight, positive=True), float(weight))
        assert energy(dictionary, y, code, float(weight)) <= (1 + 1e-3) * least


@pytest.mark.slow
def test_the_path_ends_where_the_conditions_of_the_least_energy_hold():
    dictionary, weight = DICTIONARIES["overcomplete"], 1e-3
    y = RNG.normal(size=20).astype(np.float32)
    end = jax.jit(follow)(dictionary, y, weight, weight)
    correlation, code = np.asarray(end.dual @ dictionary), np.asarray(end.code)
    np.testing.assert_allclose(correlation[code != 0], weight * np.sign(code[code != 0]), rtol=1e-5)
    assert (np.abs(correlation) <= weight * (1 + 1e-5)).all()


@pytest.mark.slow
def test_nothing_to_explain_has_a_code_of_zeros():
    dictionary = DICTIONARIES["overcomplete"]
    assert not solve(dictionary, np.zeros((2, 20), np.float32), 1e-3).value.any()


def test_a_residual_is_precise_where_its_terms_cancel():
    dictionary = RNG.normal(size=(40, 30)).astype(np.float32)
    code = (1e3 * RNG.normal(size=30)).astype(np.float32)
    exact = dictionary.astype(float) @ code.astype(float)
    y = exact.astype(np.float32)
    residual, off = jax.jit(precise_residual)(dictionary, y, code)
    error = np.linalg.norm(np.asarray(residual, float) - (y.astype(float) - exact))
    assert error <= float(off) < 1e-3 * np.linalg.norm(y.astype(float) - exact)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_a_certificate_by_any_dual_point_holds(scale):
    dictionary, weight = DICTIONARIES["overcomplete"], 0.1
    y = RNG.normal(size=20).astype(np.float32)
    best = reference(dictionary, y, weight)
    for code in (np.zeros(48), best, 0.9 * best):
        arrays = (dictionary, y, code, scale * (y - dictionary @ code))
        atoms, observed, value, dual = (jnp.asarray(array, jnp.float32) for array in arrays)
        known = certified_by(atoms, l1(weight), observed, value, dual)
        above = energy(dictionary, y, np.asarray(value, float), weight) - energy(dictionary, y, best, weight)
        assert above <= float(known.gap) <= float(known.energy) * (1 + 1e-5)


@pytest.mark.slow
def test_one_observation_a_batch_and_vmap_agree():
    dictionary, weight = DICTIONARIES["overcomplete"], 1e-3
    data = jnp.asarray(RNG.normal(size=(3, 20)), jnp.float32)
    one = jax.jit(lambda y: coordinate_descent(Params(dictionary), l1(weight), y).value)
    batch = solve(dictionary, data, weight).value
    np.testing.assert_allclose(jax.vmap(one)(data), batch, atol=1e-4)
    np.testing.assert_allclose(jnp.stack([one(y) for y in data]), batch, atol=1e-4)


@pytest.mark.slow
def test_regularizers_that_do_not_grow_in_proportion_are_searched_by_sweeps():
    dictionary = DICTIONARIES["few atoms"]
    data = RNG.normal(size=(4, 30)).astype(np.float32)
    found = jax.jit(lambda data: solve_batch(Params(dictionary), elastic_net(1e-3, 0.1), data, tolerance=1e-4))(data)
    gram = dictionary.astype(float).T @ dictionary
    # where all coefficients are active, the code is that of a linear system
    signs = np.sign(np.asarray(found.value, float))
    expected = np.linalg.solve(gram + 0.1 * np.eye(12), (data @ dictionary - 1e-3 * signs).T).T
    active = (signs != 0).all(axis=1)
    assert (found.result == CONVERGED).all()
    assert active.any()
    np.testing.assert_allclose(np.asarray(found.value)[active], expected[active], atol=2e-2)
