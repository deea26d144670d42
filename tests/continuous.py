"""Every sampler of continuous unknowns, as `(energy, beta) -> kernel` for an energy of two of them.

A new kernel is one line of `CONTINUOUS`; `tests/sample/test_continuous_laws.py` then compares it with the law
of a correlated Gaussian, and with one that is not Gaussian, integrated on a grid.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.loops import thinned, trajectory
from ebmjax.sample import hamiltonian, langevin, metropolis, tempering
from ebmjax.sample.special import many_walks
from ebmjax.types import Energy, Kernel

STEP = 0.2
TIME_STEP = 0.5


class ContinuousExample(NamedTuple):
    """How a sampler is asked to sample two unknowns."""

    module: str
    make: Callable[[Energy, Any], Kernel]
    """`(energy, beta) -> kernel`."""
    covariance: Callable[[Any], Any] = np.linalg.inv
    """Of the stationary law, for beta ∇E = K (x - μ), given K."""
    exact: bool = True
    """Whether the stationary law is exp(-beta E)/Z for every energy."""
    thin: int = 1
    """Steps between two draws."""
    together: bool = False
    """Whether the kernel runs all chains, the last axis of its position."""
    position: Callable[[Any], Any] = lambda point: point
    """The kernel's position, of a point."""
    point: Callable[[Any], Any] = lambda position: position
    """The point, of a position."""


def _ladder(energy, beta):
    make_kernel = lambda beta: langevin.mala(energy, beta, STEP)
    return tempering.tempering(energy, make_kernel, beta * jnp.array([0.4, 1.0]))


CONTINUOUS = {
    "metropolis": ContinuousExample(
        "metropolis", lambda energy, beta: metropolis.metropolis(energy, beta, metropolis.gaussian_step(0.9)), thin=5
    ),
    "random_walk": ContinuousExample(
        "many_walks", lambda energy, beta: many_walks.random_walk(energy, beta, 0.9), thin=5, together=True
    ),
    "unadjusted": ContinuousExample(
        "langevin",
        lambda energy, beta: langevin.unadjusted(energy, beta, STEP),
        lambda precision: np.linalg.inv(precision - STEP / 2 * precision @ precision),
        exact=False,
        thin=2,
    ),
    "mala": ContinuousExample("langevin", lambda energy, beta: langevin.mala(energy, beta, STEP), thin=2),
    "underdamped": ContinuousExample(
        "langevin", lambda energy, beta: langevin.underdamped(energy, beta, TIME_STEP, 1.5), exact=False, thin=2
    ),
    "hamiltonian": ContinuousExample("hamiltonian", lambda energy, beta: hamiltonian.hamiltonian(energy, beta, 0.4, 3)),
    "tempering": ContinuousExample(
        "tempering", _ladder, thin=2, position=lambda point: jnp.stack([point, point]), point=lambda pair: pair[1]
    ),
}


def draws(example: ContinuousExample, energy: Energy, beta: Any, key: Any, points: Any, count: int) -> Any:
    """Points (chains, count, 2), from points (chains, 2)."""
    kernel = thinned(example.make(energy, beta), example.thin)
    if example.together:
        return jnp.transpose(trajectory(key, kernel, points.T, count).positions, (2, 0, 1))

    def run(key, point):
        return jax.vmap(example.point)(trajectory(key, kernel, example.position(point), count).positions)

    return jax.vmap(run)(jax.random.split(key, len(points)), points)
