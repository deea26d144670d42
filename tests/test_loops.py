"""The combinators against plain Python loops."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.loops import iterate_until, map_chunks, repeat, trajectory
from ebmjax.types import Kernel


class State(NamedTuple):
    position: jax.Array


def _step(key, state):
    noise = jax.random.normal(key)
    return State(0.5 * state.position + noise), noise


WALK = Kernel(State, _step)


def _by_hand(key, steps):
    state, path, infos = WALK.init(jnp.array(1.0)), [], []
    for step_key in jax.random.split(key, steps):
        state, info = WALK.step(step_key, state)
        path.append(state.position)
        infos.append(info)
    return state, jnp.stack(path), jnp.stack(infos)


@pytest.mark.parametrize("steps", [1, 7])
def test_trajectory_and_repeat_are_python_loops(steps):
    key = jax.random.key(3)
    state, path, infos = _by_hand(key, steps)
    got, (got_path, got_infos) = jax.jit(lambda key: trajectory(WALK, key, jnp.array(1.0), steps))(key)
    np.testing.assert_allclose(got_path, path, rtol=1e-6)
    np.testing.assert_allclose(got_infos, infos, rtol=1e-6)
    np.testing.assert_allclose(got.position, state.position, rtol=1e-6)
    last, info = jax.jit(lambda key: repeat(WALK.step, key, State(jnp.array(1.0)), steps))(key)
    np.testing.assert_allclose(last.position, state.position, rtol=1e-6)
    np.testing.assert_allclose(info, infos[-1], rtol=1e-6)


def test_trajectory_of_many_chains():
    keys = jax.random.split(jax.random.key(0), 3)
    _, (together, _) = jax.vmap(lambda key: trajectory(WALK, key, jnp.array(1.0), 5))(keys)
    np.testing.assert_allclose(together[1], _by_hand(keys[1], 5)[1], rtol=1e-6)


def test_iterate_until_counts_and_reports_the_limit():
    halve, small = lambda x: x / 2, lambda x: x < 0.1
    state, steps, finished = jax.jit(lambda x: iterate_until(halve, x, small, 20))(1.0)
    assert (float(state), int(steps), bool(finished)) == (0.0625, 4, True)
    state, steps, finished = iterate_until(halve, 1.0, small, 3)
    assert (float(state), int(steps), bool(finished)) == (0.125, 3, False)
    assert int(iterate_until(halve, 0.0, small, 3)[1]) == 0


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_map_chunks_is_vmap(chunk):
    examples = {"a": jnp.arange(7.0), "b": jnp.ones((7, 2))}
    function = lambda example: example["a"] * example["b"].sum()
    np.testing.assert_allclose(map_chunks(function, examples, chunk), jax.vmap(function)(examples))


def test_counts_below_one_are_refused():
    for run in (
        lambda: trajectory(WALK, jax.random.key(0), jnp.array(0.0), 0),
        lambda: repeat(WALK.step, jax.random.key(0), State(jnp.array(0.0)), 0),
        lambda: iterate_until(lambda x: x, 1.0, lambda x: x < 0, -1),
        lambda: map_chunks(lambda x: x, jnp.ones(3), 0),
    ):
        with pytest.raises(ValueError, match="wanted at least 1"):
            run()
