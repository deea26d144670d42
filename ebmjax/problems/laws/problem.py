"""The record of a law of continuous unknowns, from which samplers draw, and of what is known of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError
from ebmjax.records import record
from ebmjax.types import Energy


@record
class Truth(NamedTuple):
    """Moments of every unknown under a law, in double precision."""

    means: Float[np.ndarray, " unknowns"]
    squares: Float[np.ndarray, " unknowns"]
    """The means of x²."""
    square_sds: Float[np.ndarray, " unknowns"]
    """The standard deviations of x², the unit of errors of `squares`."""
    mean_errors: Float[np.ndarray, " unknowns"]
    """Standard errors of `means`: 0 where they are exact."""
    square_errors: Float[np.ndarray, " unknowns"]
    """Standard errors of `squares`."""
    source: str
    """Where the moments come from, such as "closed form" or the command of a long run."""


@record
class Problem(NamedTuple):
    """A law exp(-beta E(x))/Z of one vector x, all of whose elements run over all real numbers."""

    name: str
    energy: Energy
    """`energy(x) -> scalar`, differentiable, of x with the shape (unknowns,)."""
    beta: float
    unknowns: int
    start: Callable[[Key[Array, ""]], Float[Array, " unknowns"]]
    """`start(key) -> x`: where a chain begins, spread more widely than the law."""
    truth: Truth | None
    """None where neither a closed form nor quadrature has the moments."""


def exact(means: Any, squares: Any, fourths: Any, source: str) -> Truth:
    """The truth from exact means of x, x² and x⁴, each of shape (unknowns,).

    Raises ValueError for shapes that differ, or moments of no law: x² less than the square of the mean.

    >>> exact([0.0], [1.0], [3.0], "closed form").square_sds.round(3).tolist()
    [1.414]
    """
    means, squares, fourths = (np.asarray(part, np.float64) for part in (means, squares, fourths))
    if not means.shape == squares.shape == fourths.shape or means.ndim != 1:
        raise ArgumentError(f"means: got shape {means.shape}, wanted one vector for each of the three moments")
    # moments of a narrow law differ from those of a constant by rounding alone
    if not ((squares >= means**2 * (1 - 1e-12)).all() and (fourths >= squares**2 * (1 - 1e-12)).all()):
        raise ArgumentError("squares: got moments of no law, wanted E[x]² ≤ E[x²] and E[x²]² ≤ E[x⁴]")
    nothing = np.zeros_like(means)
    return Truth(means, squares, np.sqrt(np.maximum(fourths - squares**2, 0)), nothing, nothing, source)


def normal_fourth(means: Any, variances: Any) -> np.ndarray:
    """The mean of x⁴ of normal laws: m⁴ + 6 m² v + 3 v².

    >>> float(normal_fourth(1.0, 2.0))
    25.0
    """
    means, variances = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    return np.asarray(means**4 + 6 * means**2 * variances + 3 * variances**2)


def normal_start(unknowns: int, spread: float) -> Callable[[Key[Array, ""]], Float[Array, " unknowns"]]:
    """The `start` of a problem: a normal law with mean 0 and the standard deviation `spread` of each unknown.

    >>> normal_start(3, 2.0)(jax.random.key(0)).shape
    (3,)
    """
    return lambda key: jnp.asarray(spread, jnp.float32) * jax.random.normal(key, (unknowns,), jnp.float32)
