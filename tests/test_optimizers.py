"""Optimizers of optax that want the value of a function, or the function: every place that takes an optimizer does."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax.checks import ArgumentError
from ebmjax.energies import convolutional_sparse_coding, sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed
from ebmjax.learn.dictionaries.convolutional_dictionary import convolutional
from ebmjax.learn.dictionaries.dictionary import descent
from ebmjax.learn.dictionaries.predictive_decomposition import Params, decomposition
from ebmjax.minimize.codes import predictive
from ebmjax.minimize.codes.convolutional import convolutional_admm
from ebmjax.minimize.codes.coordinate import solve_batch
from ebmjax.minimize.codes.find_code import by_proximal
from ebmjax.minimize.codes.proximal import fista
from ebmjax.minimize.descent import gradient_descent
from ebmjax.optimizers import as_optimizer
from ebmjax.sample.gibbs import systematic
from ebmjax.types import CONVERGED, Learner

KEY = jax.random.key(0)
PLATEAU = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())
OPTIMIZERS = {"lbfgs": optax.lbfgs(), "polyak_sgd": optax.polyak_sgd(), "reduce_on_plateau": PLATEAU}


def spins(optimizer):
    energy = lambda w, s: -w * s[0] * s[1]
    chain = lambda w: systematic(lambda s: energy(w, s), 1.0)
    learner = contrastive(energy, observed(), contrastive_divergence(chain, lambda key, s: s, steps=1), optimizer)
    return learner, np.array(0.0), np.ones((64, 2))


def atoms(optimizer):
    return descent(solve_batch, l1(0.1), optimizer), sparse_coding.init(KEY, 4, 3), np.eye(4, dtype=np.float32)


def predicted(optimizer):
    learner = decomposition(by_proximal(fista, predictive.smooth_term), l1(0.1), 1.0, optimizer)
    dictionary = sparse_coding.init(KEY, 4, 3)
    return learner, Params(dictionary, predictive.init(KEY, dictionary)), np.eye(4, dtype=np.float32)


def kernels(optimizer):
    learner = convolutional(partial(convolutional_admm, max_steps=20), l1(0.1), optimizer)
    return learner, convolutional_sparse_coding.init(KEY, 2, (3, 3)), np.ones((2, 8, 8), np.float32)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_descent_gives_them_the_energy(optimizer):
    energy = lambda z: jnp.sum(jnp.array([1.0, 3.0]) * (z - 3) ** 2)
    solution = gradient_descent(energy, jnp.zeros(2), optimizer, 500)
    np.testing.assert_allclose(solution.value, 3, atol=1e-3)
    assert int(solution.result) == CONVERGED


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("system", [spins, atoms, predicted, kernels])
def test_learners_give_them_their_loss(system):
    """A rate that waits for a plateau, which no three updates are long enough for, changes nothing but the rounding."""
    reached = []
    for optimizer in (optax.sgd(0.1), PLATEAU):
        learner, params, batch = system(optimizer)
        state = learner.init(KEY, params)
        for _ in range(3):
            state, _ = learner.update(KEY, state, batch)
        reached.append(state.params)
    for one, other in zip(*map(jax.tree.leaves, reached), strict=True):
        # two programs, which some compilers round otherwise: codes carry this on to the kernels
        np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-5 * np.abs(one).max())
    changed = jax.tree.map(lambda new, old: bool(np.any(np.asarray(new) != np.asarray(old))), reached[1], params)
    assert any(jax.tree.leaves(changed))


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("system", [spins, atoms, predicted, kernels])
def test_learners_give_a_line_search_their_loss(system):
    learner, params, batch = system(optax.lbfgs())
    state, _ = learner.update(KEY, learner.init(KEY, params), batch)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(state.params))


@pytest.mark.parametrize("wrong", [0.1, optax.sgd, Learner(lambda key, params: params, lambda key, state, y: state)])
def test_what_is_no_optimizer_is_refused_by_name(wrong):
    with pytest.raises(ArgumentError, match=r"optimizer: got a .*, wanted an optimizer of optax"):
        as_optimizer(wrong)
