"""Annealing: a schedule of temperatures, at the end of which the ground state is found."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import spin_cube
from ebmjax.energies import hopfield
from ebmjax.sample.annealing import annealing, geometric_schedule
from ebmjax.sample.gibbs import systematic
from ebmjax.sample.metropolis import flip_one, metropolis
from tests.kernels import LAYERED, UNITS

# its second lowest minimum lies 0.8 above the ground state: colder than that, annealing tells them apart
ENERGY = partial(hopfield.energy, LAYERED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_kernel", "steps"),
    # a step of Metropolis is one spin, a step of Gibbs all of them
    [(lambda beta: systematic(ENERGY, beta), 10), (lambda beta: metropolis(ENERGY, beta, flip_one), 10 * UNITS)],
    ids=["gibbs", "metropolis"],
)
def test_slow_annealing_finds_the_enumerated_ground_state(make_kernel, steps):
    ground = jax.vmap(ENERGY)(spin_cube(UNITS).points).min()
    start = jax.random.rademacher(jax.random.key(0), (64, UNITS), jnp.float32)
    anneal = jax.vmap(
        lambda key, s: annealing(key, make_kernel, geometric_schedule(5.0, 0.9, 60), s, steps).state.position
    )
    quench = jax.vmap(lambda key, s: annealing(key, make_kernel, jnp.full(60, jnp.inf), s, steps).state.position)
    keys = jax.random.split(jax.random.key(1), 64)
    found = lambda run: float((jax.jit(lambda: jax.vmap(ENERGY)(run(keys, start)))() < ground + 1e-4).mean())
    assert found(anneal) > 0.95
    assert found(quench) < found(anneal)


def test_schedules_are_inverse_temperatures_that_multiply():
    np.testing.assert_allclose(1 / geometric_schedule(4.0, 0.5, 4), [4, 2, 1, 0.5])
    traced = jax.jit(lambda ratio: geometric_schedule(4.0, ratio, 4))(0.5)
    np.testing.assert_allclose(traced, geometric_schedule(4.0, 0.5, 4))


def test_infos_come_one_a_temperature():
    infos = annealing(jax.random.key(0), lambda beta: systematic(ENERGY, beta), jnp.ones(7), jnp.ones(UNITS), 2).infos
    assert infos.changed.shape == (7,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geometric_schedule(0.0, 0.5, 3), "temperature: got 0"),
        (lambda: geometric_schedule(1.0, 1.5, 3), "ratio: got 1.5"),
        (lambda: geometric_schedule(1.0, 0.5, 0), "rounds: got 0"),
        (
            lambda: annealing(
                jax.random.key(0), lambda b: systematic(ENERGY, b), jnp.array([-1.0]), jnp.ones(UNITS), 1
            ),
            "-1",
        ),
        (
            lambda: annealing(jax.random.key(0), lambda b: systematic(ENERGY, b), jnp.ones(2), jnp.ones(UNITS), 0),
            "steps",
        ),
    ],
)
def test_bad_schedules_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
