"""A schedule for annealed importance sampling, found by a pilot run of population annealing.

The weights of annealed importance sampling have the right mean only if the schedule does not depend on the chains that
are weighed: it must be fixed beforehand. A pilot of some hundred members finds where the law changes quickly; the
schedule of the weighed chains has any number of links, as dense as the pilot's.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, as_float, check_count
from ebmjax.marginalize.annealed import ReducedEnergy
from ebmjax.marginalize.population import adaptive_population_annealing
from ebmjax.records import record
from ebmjax.types import CONVERGED, TOO_FEW_TEMPERATURES, KernelAtBeta, Numbers, Scalar


@record
class Pilot(NamedTuple):
    """A schedule that a pilot run has found."""

    schedule: Float[Array, " points"]
    """From one end of the path to the other, of the number of links that was asked for."""
    links: Int[Array, ""]
    """How many steps the pilot took: with so many, each keeps the share that was asked for."""
    result: Int[Array, ""]
    """`CONVERGED`, or `TOO_FEW_TEMPERATURES` where the pilot did not reach the end. The schedule ends where it was."""


def pilot_schedule(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    ends: Numbers,
    starts: PyTree[Any],
    links: int,
    share: Scalar = 0.9,
    max_links: int = 200,
    steps: int = 1,
) -> Pilot:
    """A schedule for `annealed_importance` or `bidirectional`, dense where the law changes quickly, by a pilot run.

    The weights of annealed importance sampling have the right mean only if the schedule does not depend on the chains
    that are weighed: it must be fixed beforehand. So the key of this run and that of the weights have to differ, and
    the starts should be other draws.

    Args:
        key, path, make_kernel, ends, starts, share, max_links, steps: as in `adaptive_population_annealing`; some
            hundred members are enough, an even number.
        links: how many links the schedule shall have, static. The points that the pilot found are redivided.

    Errors are those of `adaptive_population_annealing`.

    >>> from ebmjax.marginalize.annealed import annealed, tempered
    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s.sum()
    >>> starts = jax.random.rademacher(jax.random.key(0), (2, 200, 3), float)
    >>> path, kernel = tempered(energy), lambda beta: systematic(energy, beta)
    >>> pilot = pilot_schedule(jax.random.key(1), path, kernel, jnp.array([0.0, 2.0]), starts[0], 30, max_links=20)
    >>> annealed(jax.random.key(2), path, kernel, pilot.schedule, starts[1]).log_weights.shape
    (200,)
    """
    check_count("links", links)
    run = adaptive_population_annealing(key, path, make_kernel, ends, starts, 0.0, share, max_links, steps, groups=2)
    return _pilot(run.schedule, run.links, as_float("ends", ends), links)


@functools.partial(jax.jit, static_argnums=3)
def _pilot(schedule, taken, ends, links):
    result = jnp.where(schedule[-1] == ends[1].astype(schedule.dtype), CONVERGED, TOO_FEW_TEMPERATURES)
    return Pilot(redivided(schedule, taken, links), taken, result.astype(jnp.int32))


def redivided(schedule: Numbers, links: Numbers, count: int) -> Float[Array, " temperatures"]:
    """A schedule of another number of links, whose points are as dense as those of the one that is given.

    The old schedule is interpolated linearly between its points, as a function of their number.

    Args:
        schedule: (points,), of which the first `links` + 1 count, such as `Population.schedule`.
        links: how many links count, at least 1, a number or a traced integer.
        count: how many links are wanted, static.

    Returns:
        (count + 1,), from the first to the last point of the old schedule.

    Raises:
        ValueError: a schedule without an axis, or of less than 2 points; a count below 1.

    >>> redivided([0.0, 1.0, 4.0, 4.0], 2, 4).tolist()
    [0.0, 0.5, 1.0, 2.5, 4.0]
    """
    check_count("count", count)
    schedule = as_float("schedule", schedule, (None,))
    if len(schedule) < 2:
        raise ArgumentError(f"schedule: got {len(schedule)} value, wanted at least 2")
    return _redivided(schedule, as_float("links", links, ()), count)


@functools.partial(jax.jit, static_argnums=2)
def _redivided(schedule, links, count):
    places = jnp.linspace(0, 1, count + 1, dtype=schedule.dtype) * links.astype(schedule.dtype)
    points = jnp.interp(places, jnp.arange(len(schedule)).astype(schedule.dtype), schedule)
    last = schedule[jnp.round(links).astype(jnp.int32)]
    return points.at[0].set(schedule[0]).at[-1].set(last)
