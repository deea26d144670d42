"""Problems whose answers are known: the data of the lectures, with their true manifolds and noise floor.

Tests, experiments and benchmarks all take them from here.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.types import check_count

ALPHA, BETA = 1.5, 2.0  # semi-axes of the horn at x = 0 are (BETA, ALPHA): constants of the data, no temperatures
NOISE = 1 / 20  # standard deviation of either component of y
NOISE_FLOOR = NOISE**2  # mean F_inf of the true manifold: the noise along the one normal direction


class HornData(NamedTuple):
    """Pairs (x, y), leading axis the samples."""

    x: Float[Array, " samples"]
    y: Float[Array, "samples 2"]


def horn_radii(x: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
    """True semi-axes ρ(x) = [αx + β(1-x), βx + α(1-x)] · exp(2x), α = 1.5, β = 2.

    Canziani & LeCun (2020), NYU Deep Learning, week 15.

    >>> [round(float(r), 2) for r in horn_radii(jnp.array(1.0))]
    [11.08, 14.78]
    """
    axes = jnp.stack([ALPHA * x + BETA * (1 - x), BETA * x + ALPHA * (1 - x)], axis=-1)
    return axes * jnp.exp(2 * x)[..., None]


def horn_data(key: Key[Array, ""], samples: int = 400) -> HornData:
    """x ~ U(0, 1), y = ρ(x) · [cos θ, sin θ] + ε with θ ~ U(0, 2π) and ε ~ N(0, 1/20²).

    Raises ValueError for fewer than one sample.

    >>> horn_data(jax.random.key(0), 5).y.shape
    (5, 2)
    """
    x_key, y_key = jax.random.split(key)
    _check_samples(samples)
    x = jax.random.uniform(x_key, (samples,))
    return HornData(x, _noisy_ellipses(y_key, horn_radii(x)))


def ellipse_data(key: Key[Array, ""], samples: int = 24) -> Float[Array, "samples 2"]:
    """The slice x = 0 of the horn: (2 cos θ + ε₁, 1.5 sin θ + ε₂).

    Raises ValueError for fewer than one sample.

    >>> ellipse_data(jax.random.key(0)).shape
    (24, 2)
    """
    _check_samples(samples)
    return _noisy_ellipses(key, jnp.broadcast_to(horn_radii(jnp.array(0.0)), (samples, 2)))


def _noisy_ellipses(key, radii):
    angle_key, noise_key = jax.random.split(key)
    angle = jax.random.uniform(angle_key, radii.shape[:1], maxval=2 * jnp.pi)
    circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return radii * circle + NOISE * jax.random.normal(noise_key, radii.shape)


def _check_samples(samples):
    check_count("samples", samples)


def onsager_energy(beta: float) -> float:
    """Mean energy a spin of the infinite square Ising lattice, J = 1: exact, in units of J.

        u = -coth(2 beta) [1 + 2/π (2 tanh²(2 beta) - 1) K(k)],    k = 2 sinh(2 beta) / cosh²(2 beta)

    Raises ValueError for a beta that is not above 0, or is β_c, where K diverges. Onsager (1944), eq. 112.

    >>> round(onsager_energy(0.3), 6)
    -0.704499
    """
    if not 0 < beta < math.inf:
        raise ValueError(f"beta: got {beta}, wanted a finite number above 0")
    modulus = 2 * math.sinh(2 * beta) / math.cosh(2 * beta) ** 2
    if modulus >= 1:
        raise ValueError(f"beta: got {beta}, the critical point, where the closed form is 0 · inf")
    # the complete elliptic integral by the arithmetic-geometric mean
    larger, smaller = 1.0, math.sqrt(1 - modulus**2)
    while larger - smaller > 1e-15:
        larger, smaller = (larger + smaller) / 2, math.sqrt(larger * smaller)
    elliptic = math.pi / (2 * larger)
    return -(1 + 2 / math.pi * (2 * math.tanh(2 * beta) ** 2 - 1) * elliptic) / math.tanh(2 * beta)


def onsager_magnetization(beta: float) -> float:
    """Spontaneous magnetization a spin of the infinite square Ising lattice, J = 1: (1 - sinh(2 beta)⁻⁴)^⅛, 0 when hot.

    Yang (1952), "The spontaneous magnetization of a two-dimensional Ising model".

    >>> onsager_magnetization(0.4), round(onsager_magnetization(0.5), 6)
    (0.0, 0.911319)
    """
    excess = 1 - math.sinh(2 * beta) ** -4 if beta > 0 else -1.0
    return max(excess, 0.0) ** 0.125


def transfer_matrix(rows: int, columns: int, beta: float, field: float = 0.0) -> float:
    """log Z of a periodic Ising lattice with J = 1 and a uniform field, exact, from the matrix that adds a row.

    Z = Tr Tʳᵒʷˢ, T over the 2^columns states of a row. Derivatives give the means: <E> = -d log Z/d beta,
    <M> = d log Z/d field / beta.

    Raises ValueError for columns outside 3 … 10 or rows below 3, where bonds would count twice.

    >>> round(transfer_matrix(3, 3, 0.0), 4) == round(9 * math.log(2), 4)
    True
    """
    if not 3 <= columns <= 10:
        raise ValueError(f"columns: got {columns}, wanted 3 to 10")
    if rows < 3:
        raise ValueError(f"rows: got {rows}, wanted at least 3")
    states = 2 * ((np.arange(2**columns)[:, None] >> np.arange(columns)) & 1) - 1
    within = np.sum(states * np.roll(states, 1, axis=1), axis=1) + field * states.sum(axis=1)
    exponents = beta * (states @ states.T + (within[:, None] + within) / 2)
    largest = exponents.max()
    # the largest eigenvalue dominates: powers of the others never overflow when measured by it
    eigenvalues = np.linalg.eigvalsh(np.exp(exponents - largest))
    top = eigenvalues[-1]
    return float(rows * (largest + np.log(top)) + np.log(np.sum((eigenvalues / top) ** rows)))
