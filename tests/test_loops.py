"""The combinators against plain Python loops."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.loops import iterate, iterate_until, map_chunks, repeat, thinned, trajectory
from ebmjax.sample.langevin import mala
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


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 7])
def test_trajectory_and_repeat_are_python_loops(steps):
    key = jax.random.key(3)
    state, path, infos = _by_hand(key, steps)
    got, got_path, got_infos = jax.jit(lambda key: trajectory(key, WALK, jnp.array(1.0), steps))(key)
    np.testing.assert_allclose(got_path, path, rtol=1e-6)
    np.testing.assert_allclose(got_infos, infos, rtol=1e-6)
    np.testing.assert_allclose(got.position, state.position, rtol=1e-6)
    last, position, info = jax.jit(lambda key: repeat(key, WALK, State(jnp.array(1.0)), steps))(key)
    np.testing.assert_allclose(last.position, state.position, rtol=1e-6)
    np.testing.assert_allclose(position, state.position, rtol=1e-6)
    np.testing.assert_allclose(info, infos[-1], rtol=1e-6)


@pytest.mark.slow
def test_a_schedule_of_step_sizes_is_a_python_loop_and_keeps_the_energy_right():
    """`mala` computes nothing from its step size; its state goes on. An energy that changes is computed anew."""
    energy, sizes = lambda x: jnp.sum(x**2) / 2, jnp.array([0.5, 0.2, 0.1])
    by_size = lambda size: mala(energy, 1.3, size)
    run = trajectory(jax.random.key(0), by_size, jnp.ones(2), 3, schedule=sizes)
    state = by_size(sizes[0]).init(jnp.ones(2))
    for size, key, position in zip(sizes, jax.random.split(jax.random.key(0), 3), run.positions, strict=True):
        state, _ = by_size(size).step(key, state)
        np.testing.assert_allclose(state.position, position, rtol=1e-6)
    by_stiffness = lambda stiffness: mala(lambda x: stiffness * energy(x), 1.0, 0.1)
    run = trajectory(
        jax.random.key(0), by_stiffness, jnp.ones(2), 3, lambda state: (state.position, state.energy), sizes
    )
    np.testing.assert_allclose(run.positions[1], np.asarray(sizes) * jax.vmap(energy)(run.positions[0]), rtol=1e-6)
    with pytest.raises(ValueError, match="schedule: "):
        trajectory(jax.random.key(0), by_size, jnp.ones(2), 4, schedule=sizes)


def test_a_run_keeps_what_is_observed():
    key = jax.random.key(3)
    _, path, infos = _by_hand(key, 7)
    run = trajectory(key, WALK, jnp.array(1.0), 7, observe=lambda state: {"twice": 2 * state.position})
    np.testing.assert_allclose(run.positions["twice"], 2 * path, rtol=1e-6)
    np.testing.assert_allclose(run.infos, infos, rtol=1e-6)
    last = repeat(key, WALK, State(jnp.array(1.0)), 7, observe=lambda state: -state.position)
    np.testing.assert_allclose(last.positions, -path[-1], rtol=1e-6)


def test_a_million_observed_steps_keep_no_positions():
    wide = Kernel(lambda position: State(position), lambda key, state: (State(state.position + 1), None))
    run = lambda key: trajectory(key, wide, jnp.zeros(1000), 10**6, observe=lambda state: state.position[0]).positions
    memory = jax.jit(run).lower(jax.random.key(0)).compile().memory_analysis()
    assert memory.output_size_in_bytes < 2**23  # 4 MB of means; the positions would take 4 GB
    assert memory.temp_size_in_bytes < 2**26


def test_a_thinned_kernel_is_every_so_many_steps():
    key = jax.random.key(3)
    run = trajectory(key, thinned(WALK, 4), jnp.array(1.0), 3)
    state, expected = State(jnp.array(1.0)), []
    for outer in jax.random.split(key, 3):
        for inner in jax.random.split(outer, 4):
            state, _ = WALK.step(inner, state)
        expected.append(state.position)
    np.testing.assert_allclose(run.positions, jnp.stack(expected), rtol=1e-6)


def test_iterate_takes_a_traced_number_of_steps():
    assert [int(jax.jit(lambda n: iterate(lambda x: 2 * x, 1, n))(steps)) for steps in (0, 1, 5)] == [1, 2, 32]


@pytest.mark.slow
def test_trajectory_of_many_chains():
    keys = jax.random.split(jax.random.key(0), 3)
    _, together, _ = jax.vmap(lambda key: trajectory(key, WALK, jnp.array(1.0), 5))(keys)
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
        lambda: trajectory(jax.random.key(0), WALK, jnp.array(0.0), 0),
        lambda: repeat(jax.random.key(0), WALK, State(jnp.array(0.0)), 0),
        lambda: iterate_until(lambda x: x, 1.0, lambda x: x < 0, -1),
        lambda: map_chunks(lambda x: x, jnp.ones(3), 0),
    ):
        with pytest.raises(ValueError, match="wanted at least 1"):
            run()
