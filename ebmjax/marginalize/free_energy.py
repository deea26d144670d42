"""The free energy of an energy over a space, at any temperature: the one primitive that everything else uses.

    F_beta = -1/beta log (1/|Z|) ∫ exp(-beta E(z)) dz,    a sum over states where the space is discrete

F is the mean of E at beta = 0 and its minimum at beta = inf, and never increases with beta.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import ArgumentError, check_beta, check_not_negative
from ebmjax.temperature import reduced, softargmin, softmin
from ebmjax.types import CONVERGED, TOO_COARSE, Beta, Energy, Marginal, Scalar, Space


def free_energy(energy: Energy, space: Space, beta: Beta) -> Float[Array, ""]:
    """F_beta = -1/beta log 1/|Z| ∫ exp(-beta E(z)) dz: the mean of E at beta = 0, its minimum at beta = inf.

    Args:
        energy: `energy(z) -> scalar`, of one point of the space.
        space: the set of all z.
        beta: inverse temperature in [0, inf], static or traced.

    Returns:
        A scalar, in the units of the energy; non-increasing in beta. It is exact on an enumerated space. On a grid it
        has the error of the quadrature, which `marginal` estimates and `refine` makes small.

    Raises:
        ValueError: beta negative, NaN or not a scalar; an energy that is not a scalar; an empty space.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 8, here divided by |Z|, so that beta = 0 is defined.

    >>> from ebmjax.marginalize.spaces import circle
    >>> energy = lambda z: (2 - jnp.cos(z)) ** 2
    >>> [round(float(free_energy(energy, circle(48), beta)), 4) for beta in (0.0, 1.0, jnp.inf)]
    [4.5, 2.3256, 1.0]
    """
    check_beta(beta)
    return softmin(energies_of_points(energy, space), beta, space.log_weights)


def posterior(energy: Energy, space: Space, beta: Beta) -> Float[Array, " points"]:
    """The posterior probabilities of the points, w exp(-beta E) / Σ w exp(-beta E), for the weights w of the space.

    They sum to one. Arguments and errors as in `free_energy`.

    >>> from ebmjax.marginalize.spaces import binary_cube
    >>> posterior(lambda units: units.sum(), binary_cube(1), jnp.inf).tolist()
    [1.0, 0.0]
    """
    check_beta(beta)
    return softargmin(energies_of_points(energy, space), beta, space.log_weights)


def log_partition(energy: Energy, space: Space, beta: Beta) -> Float[Array, ""]:
    """log Z = log ∫ exp(-beta E(z)) dz = log|Z| - beta F_beta: a sum over states, an integral over a continuum.

    At beta = inf it is -inf or +inf, unless the least energy is zero. Arguments and errors as in `free_energy`.

    >>> from ebmjax.marginalize.spaces import binary_cube
    >>> round(float(jnp.exp(log_partition(lambda units: units.sum() * 0.0, binary_cube(3), 1.0))), 4)
    8.0
    """
    value = free_energy(energy, space, beta)
    beta = jnp.asarray(beta).astype(value.dtype)
    nothing = ((beta == 0) & (jnp.abs(value) == jnp.inf)) | ((beta == jnp.inf) & (value == 0))
    return space.log_volume - jnp.where(nothing, 0, beta) * jnp.where(nothing, 0, value)


def marginal(energy: Energy, space: Space, beta: Beta, tolerance: Scalar = 1e-3) -> Marginal:
    """The free energy on an ordered, uniform grid, with an estimate of its error.

    The points of even and of odd index give two free energies, whose difference estimates the error of a grid of half
    the resolution. `result` is `TOO_COARSE` where the difference exceeds tolerance · max(|F|, 1/beta). This happens
    when the spacing is wider than the peaks of exp(-beta E): then use `refine`, or more points.

    Args:
        energy, space, beta: as in `free_energy`, on a `circle` or an `interval` of at least 4 points.
        tolerance: the largest relative error that counts as CONVERGED, not negative.

    Returns:
        `Marginal(free_energy, error, result)`.

    Raises:
        ValueError: as in `free_energy`; fewer than 4 points; a negative tolerance.

    >>> from ebmjax.marginalize.spaces import circle
    >>> energy = lambda z: (15 - 15 * jnp.cos(z - 0.06)) ** 2 + (15 * jnp.sin(z - 0.06)) ** 2
    >>> [int(marginal(energy, circle(48), beta).result) == TOO_COARSE for beta in (0.01, 100.0)]
    [False, True]
    """
    check_beta(beta)
    check_not_negative("tolerance", tolerance)
    values = energies_of_points(energy, space)
    if len(values) < 4:
        raise ArgumentError(f"space: got {len(values)} points, wanted at least 4 to compare two halves")
    value = softmin(values, beta, space.log_weights)
    halves = [softmin(values[start::2], beta, space.log_weights[start::2]) for start in (0, 1)]
    error = jnp.abs(halves[0] - halves[1])
    beta = jnp.asarray(beta).astype(value.dtype)
    scale = jnp.maximum(jnp.abs(value), jnp.where(beta > 0, 1 / jnp.where(beta > 0, beta, 1), jnp.inf))
    return Marginal(value, error, jnp.where(error <= tolerance * scale, CONVERGED, TOO_COARSE))


def energies_of_points(energy: Energy, space: Space) -> Float[Array, " points"]:
    """The energy of every point of a space: `jax.vmap(energy)(space.points)`, with a check that each is a scalar.

    Raises ValueError where the energy is not a scalar or the space is empty.

    >>> from ebmjax.marginalize.spaces import spin_cube
    >>> energies_of_points(lambda spins: spins.sum(), spin_cube(1)).tolist()
    [-1.0, 1.0]
    """
    size = space.log_weights.shape[0]
    if size == 0:
        raise ArgumentError("space: got no points, wanted at least one")
    values = jax.vmap(energy)(space.points)
    if getattr(values, "shape", None) != (size,):
        raise ArgumentError(
            f"energy: got {jax.tree.map(jnp.shape, values)} for {size} points, wanted one scalar a point"
        )
    return values


def log_ratio(energy: Energy, x: PyTree, other: PyTree, beta: Beta) -> Float[Array, ""]:
    """log p(x) / p(other) = beta (E(other) - E(x)), in nats: positive where x is likelier. Z cancels.

    Args:
        energy: `energy(unknown) -> scalar`.
        x, other: two states, of the form that the energy takes.
        beta: inverse temperature in [0, inf]; at inf the ratio is inf, -inf, or 0 for a tie.

    Raises:
        ValueError: a bad beta.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 2.

    >>> float(log_ratio(lambda x: x**2, 1.0, 3.0, beta=0.5))
    4.0
    """
    check_beta(beta)
    return reduced(jnp.asarray(energy(other)) - jnp.asarray(energy(x)), beta)
