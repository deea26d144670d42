"""Replay buffers: who begins anew, what becomes of chains that diverge, and that their law is the model's.

A z-score compares the mean of independent chains with the truth: one exceeds LIMIT by chance in 147,000 runs; keys are
fixed.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from ebmjax import train
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import observed, persistent
from ebmjax.learn.contrast.replay import replay
from ebmjax.losses.contrast import penalized_contrast
from ebmjax.sample.langevin import mala, unadjusted
from ebmjax.types import Kernel

BETA = 0.7
LIMIT = 4.5
BATCH = jnp.zeros((8, 2))


class State(NamedTuple):
    position: Array


def moving(move):
    """A kernel that moves every position by a given function."""
    return lambda params: Kernel(State, lambda key, state: (State(move(state.position)), None))


def normal(key):
    return jax.random.normal(key, (2,))


def energy(w, y):
    return w * jnp.sum(y**2) / 2


def sampled(phase, updates=1, params=None):
    """Positions after each of some updates, and what the phase reports of them."""
    memory, positions, reports = phase.init(jax.random.key(0), params), [], []
    sample = jax.jit(phase.sample)
    for key in jax.random.split(jax.random.key(1), updates):
        drawn, memory = sample(key, params, memory, BATCH)
        positions.append(np.asarray(drawn))
        reports.append(phase.report(memory))
    return phase.init(jax.random.key(0), params).positions, positions, reports


@pytest.mark.slow
@pytest.mark.parametrize("restart", [0.0, 0.05, 0.5, 1.0])
def test_a_share_of_the_chains_begins_anew(restart):
    chains = 2000
    first, (second,), (report,) = sampled(replay(moving(lambda x: x), normal, chains, 1, restart))
    anew = (np.asarray(first) != second).any(axis=1).sum()
    assert anew == report.restarted
    assert abs(anew - restart * chains) <= LIMIT * np.sqrt(chains * restart * (1 - restart))
    assert report.diverged == 0


@pytest.mark.slow
def test_chains_go_on_from_where_they_were():
    first, (second, third), _ = sampled(replay(moving(lambda x: x + 1), normal, 5, 3, 0.0), updates=2)
    np.testing.assert_allclose(second, first + 3, rtol=1e-6)
    np.testing.assert_allclose(third, second + 3, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [jnp.nan, jnp.inf, -1e7])
def test_a_chain_that_diverges_is_replaced_by_a_healthy_one(lost):
    """Every chain with x₁ > 0 is lost: what is handed out are the others, drawn with equal chances."""
    move = lambda x: jnp.where(x[0] > 0, x.at[1].set(lost), x)
    first, (second,), (report,) = sampled(replay(moving(move), normal, 400, 1, 0.0))
    healthy = np.asarray(first)[:, 0] <= 0
    assert report.diverged == (~healthy).sum() > 150
    assert (second[healthy] == np.asarray(first)[healthy]).all()
    replaced = second[~healthy]
    assert {tuple(row) for row in replaced} <= {tuple(row) for row in np.asarray(first)[healthy]}
    # so many draws with replacement from so many leave a share of about 1/e of them out
    assert 0.5 < len(np.unique(replaced, axis=0)) / healthy.sum() < 0.75
    assert (replaced == second[healthy][-1]).all(axis=1).sum() < 10


@pytest.mark.slow
def test_where_all_diverge_all_begin_anew():
    first, (second,), (report,) = sampled(replay(moving(lambda x: x * jnp.nan), normal, 50, 1, 0.0))
    assert report.diverged == 50
    assert np.isfinite(second).all()
    assert (second != np.asarray(first)).all()


@pytest.mark.slow
def test_bound_is_where_a_chain_counts_as_diverged():
    for bound, diverged in ((1.9, 50), (2.1, 0)):
        phase = replay(moving(lambda x: x + 1), lambda key: jnp.ones(2), 50, 1, 0.0, bound)
        assert sampled(phase)[2][0].diverged == diverged


@pytest.mark.slow
def test_its_law_is_the_model_s(x64):
    """Of MALA at beta = 0.7 on ½w‖y‖²: mean square 1/(beta w), after 60 steps from far away."""
    chains, w = 4000, 2.0
    kernel = lambda w: mala(partial(energy, w), BETA, 0.3)
    phase = replay(kernel, lambda key: 3 + normal(key), chains, 60, 0.0)
    _, (positions,), _ = sampled(phase, params=w)
    squares = np.mean(positions**2, axis=1)
    z = (squares.mean() - 1 / (BETA * w)) / (squares.std() / np.sqrt(chains))
    assert abs(z) < LIMIT
    assert abs(positions.mean()) < LIMIT / np.sqrt(2 * chains * BETA * w)


def learned(step_size):
    loss = partial(penalized_contrast, weight=0.1)
    kernel = lambda w: unadjusted(partial(energy, w), BETA, step_size)
    learner = contrastive(energy, observed(), replay(kernel, normal, 32, 5, 0.05), optax.sgd(0.05), loss=loss)
    data = jax.random.normal(jax.random.key(2), (64, 2))
    run = lambda key: train(key, learner, jnp.array(1.0), data, batch_size=32, epochs=20)
    return jax.jit(run)(jax.random.key(0))


@pytest.mark.slow
def test_learning_survives_an_absurd_step_and_says_so():
    trained = learned(1e4)
    assert trained.metrics.finite.all()
    assert jnp.isfinite(trained.params)
    assert trained.metrics.learner.negative.diverged.sum() > 100
    assert jnp.isfinite(trained.state.negative.positions).all()


@pytest.mark.slow
def test_a_sane_step_loses_no_chain():
    trained = learned(0.1)
    assert trained.metrics.learner.negative.diverged.sum() == 0
    assert trained.metrics.learner.negative.restarted.shape == (20, 2)
    assert trained.metrics.learner.negative.restarted.sum() > 0


@pytest.mark.slow
def test_other_phases_report_nothing():
    phase = persistent(moving(lambda x: x), normal, 4, 1)
    learner = contrastive(energy, observed(), phase, optax.sgd(0.1))
    key = jax.random.key(0)
    assert learner.update(key, learner.init(key, jnp.array(1.0)), BATCH)[1].negative is None


@pytest.mark.parametrize("restart", [-0.1, 1.1, np.nan])
def test_restart_is_checked(restart):
    with pytest.raises(ValueError, match="restart: got"):
        replay(moving(lambda x: x), normal, 4, 1, restart)


def test_other_arguments_are_checked():
    with pytest.raises(ValueError, match="chains: got 0"):
        replay(moving(lambda x: x), normal, 0, 1, 0.1)
    with pytest.raises(ValueError, match="steps: got 0"):
        replay(moving(lambda x: x), normal, 4, 0, 0.1)
    with pytest.raises(ValueError, match=r"bound: got 0\.0"):
        replay(moving(lambda x: x), normal, 4, 1, 0.1, 0.0)
    with pytest.raises(ValueError, match=r"start: got positions of shape \(3,\), wanted that of a sample, \(2,\)"):
        sampled(replay(moving(lambda x: x), lambda key: jnp.ones(3), 4, 1, 0.1))
    with pytest.raises(ValueError, match="start: got"):
        sampled(replay(moving(lambda x: x), lambda key: (normal(key), normal(key)), 4, 1, 0.1))
    odd = lambda params: Kernel(lambda x: State(x[None]), lambda key, state: (state, None))
    with pytest.raises(ValueError, match=r"make_kernel: got steps to the shape \(1, 2\), wanted that of start, \(2,\)"):
        sampled(replay(odd, normal, 4, 1, 0.1))
