"""The free energy of an energy over a space, at any temperature: the one primitive that everything else uses.

    F_beta = -1/beta log (1/|Z|) ∫ exp(-beta E(z)) dz,    a sum over states where the space is discrete

F is the mean of E at beta = 0 and its minimum at beta = inf, and never increases with beta.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import ArgumentError, as_beta, as_float, as_scalar, check_arrays, check_callable, check_not_negative
from ebmjax.marginalize.points import energies_of_points
from ebmjax.marginalize.refine import refine
from ebmjax.temperature import reduced, softargmin, softmin
from ebmjax.types import CONVERGED, TOO_COARSE, Beta, Energy, Marginal, Scalar, Space

__all__ = ["energies_of_points", "free_energy", "log_partition", "log_ratio", "marginal", "posterior"]

MOST_PEAKS = 16
"""So many valleys of a grid are refined at most, to estimate its error."""

ACCURACY = 1e-6
"""The relative error of a refined free energy."""


def free_energy(energy: Energy, space: Space, beta: Beta) -> Float[Array, ""]:
    """F_beta = -1/beta log 1/|Z| ∫ exp(-beta E(z)) dz: the mean of E at beta = 0, its minimum at beta = inf.

    Args:
        energy: `energy(z) -> scalar`, of one point of the space; `ebmjax.temperature` says what an infinite energy or a
            NaN means.
        space: the set of all z.
        beta: inverse temperature in [0, inf], static or traced.

    Returns:
        A scalar, in the units of the energy; non-increasing in beta. It is exact on an enumerated space. On a grid it
        has the error of the quadrature, which `marginal` estimates and `refine` makes small.

    Raises:
        ValueError: an energy that is no function, or not a scalar; a space that is none, or empty; beta negative, NaN
            or not a scalar.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 8, here divided by |Z|, so that beta = 0 is defined.

    >>> from ebmjax.marginalize.spaces import circle
    >>> energy = lambda z: (2 - jnp.cos(z)) ** 2
    >>> [round(float(free_energy(energy, circle(48), beta)), 4) for beta in (0.0, 1.0, jnp.inf)]
    [4.5, 2.3256, 1.0]
    """
    return softmin(energies_of_points(energy, space), beta, space.log_weights)


def posterior(energy: Energy, space: Space, beta: Beta) -> Float[Array, " points"]:
    """The posterior probabilities of the points, w exp(-beta E) / Σ w exp(-beta E), for the weights w of the space.

    They sum to one. A forbidden point has none; where all points are forbidden they are NaN. Arguments and errors as in
    `free_energy`.

    >>> from ebmjax.marginalize.spaces import binary_cube
    >>> posterior(lambda units: units.sum(), binary_cube(1), jnp.inf).tolist()
    [1.0, 0.0]
    """
    return softargmin(energies_of_points(energy, space), beta, space.log_weights)


def log_partition(energy: Energy, space: Space, beta: Beta) -> Float[Array, ""]:
    """log Z = log ∫ exp(-beta E(z)) dz = log|Z| - beta F_beta: a sum over states, an integral over a continuum.

    At beta = inf it is -inf or +inf, unless the least energy is zero. At beta = 0 it is the logarithm of the volume of
    all states that are not forbidden. Arguments and errors as in `free_energy`.

    >>> from ebmjax.marginalize.spaces import binary_cube
    >>> round(float(jnp.exp(log_partition(lambda units: units.sum() * 0.0, binary_cube(3), 1.0))), 4)
    8.0
    """
    values = energies_of_points(energy, space)
    value = softmin(values, beta, space.log_weights)
    beta = jnp.asarray(as_beta(beta)).astype(value.dtype)
    log_volume = as_float("space", space.log_volume).astype(value.dtype)
    measure = as_float("space", space.log_weights).astype(value.dtype)
    allowed = jax.nn.logsumexp(jnp.where(values == jnp.inf, -jnp.inf, measure)) - jax.nn.logsumexp(measure)
    hot = (beta == 0) & jnp.isinf(value)
    nothing = hot | ((beta == jnp.inf) & (value == 0))
    finite = log_volume - jnp.where(nothing, 0, beta) * jnp.where(nothing, 0, value)
    share = jnp.where(value > 0, jax.lax.stop_gradient(allowed), jnp.inf)
    return finite + jnp.where(hot, share, 0)


def marginal(energy: Energy, space: Space, beta: Beta, tolerance: Scalar = 1e-3) -> Marginal:
    """The free energy on an ordered, uniform grid, with an estimate of its error.

    The error is the distance from the free energy on a refinement of the grid (see `refine`), which has points in all
    cells and more of them in the lowest valleys, none of them regular: symmetry cannot hide a peak between the points.
    `result` is `TOO_COARSE` where the error exceeds tolerance · max(|F|, 1/beta). This happens when the spacing is
    wider than the peaks of exp(-beta E): then use `refine`, or more points. What lies within a cell and shows at none
    of its eight points is seen by neither.

    Args:
        energy, space, beta: as in `free_energy`, on a `circle` or an `interval` of at least 4 points.
        tolerance: the largest relative error that counts as CONVERGED, not negative.

    Returns:
        `Marginal(free_energy, error, result)`.

    Raises:
        ValueError: as in `free_energy`; a space that is no circle or interval of at least 4 points; a negative
            tolerance.

    >>> from ebmjax.marginalize.spaces import circle
    >>> energy = lambda z: (15 - 15 * jnp.cos(z - 0.06)) ** 2 + (15 * jnp.sin(z - 0.06)) ** 2
    >>> [int(marginal(energy, circle(48), beta).result) == TOO_COARSE for beta in (0.01, 100.0)]
    [False, True]
    """
    check_not_negative("tolerance", tolerance)
    values = energies_of_points(energy, space)
    value = softmin(values, beta, space.log_weights)
    if len(values) < 4:
        raise ArgumentError(f"space: got {len(values)} points, wanted at least 4 to compare with a finer grid")
    refined = refine(energy, space, beta, peaks=min(len(values) // 2, MOST_PEAKS))
    finer = softmin(energies_of_points(energy, refined), beta, refined.log_weights)
    return _judged(value, finer, values, jnp.asarray(as_beta(beta)), as_float("tolerance", tolerance))


@jax.jit
def _judged(value, finer, values, beta, tolerance):
    fixed, finer, values = jax.lax.stop_gradient((value, finer, values))
    beta, tolerance = beta.astype(fixed.dtype), tolerance.astype(fixed.dtype)
    size = jnp.abs(fixed)
    scale = jnp.maximum(size, jnp.where(beta > 0, 1 / jnp.where(beta > 0, beta, 1), jnp.inf))
    # the finer one has an error too
    error = jnp.abs(fixed - finer) + ACCURACY * jnp.where(beta > 0, scale, size)
    # an energy that is zero at its minimum is there as exact as its values beside it
    beside = jnp.max(jnp.abs(jnp.sort(values)[:3]))
    rounding = ACCURACY * size + 4 * jnp.finfo(fixed.dtype).eps * jnp.where(jnp.isfinite(beside), beside, 0)
    return Marginal(value, error, jnp.where(error <= tolerance * scale + rounding, CONVERGED, TOO_COARSE))


def log_ratio(energy: Energy, x: PyTree, other: PyTree, beta: Beta) -> Float[Array, ""]:
    """log p(x) / p(other) = beta (E(other) - E(x)), in nats: positive where x is likelier. Z cancels.

    Args:
        energy: `energy(unknown) -> scalar`.
        x, other: two states, of the form that the energy takes.
        beta: inverse temperature in [0, inf]; at inf the ratio is inf, -inf, or 0 for a tie.

    Raises:
        ValueError: an energy that is no function, a state that is no array, a bad beta.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 2.

    >>> float(log_ratio(lambda x: x**2, 1.0, 3.0, beta=0.5))
    4.0
    """
    check_callable("energy", energy)
    check_arrays("x", x)
    check_arrays("other", other)
    return reduced(as_scalar("energy", energy(other)) - as_scalar("energy", energy(x)), beta)
