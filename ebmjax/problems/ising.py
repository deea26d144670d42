"""Exact results for the square Ising lattice: Onsager's energy and magnetization, and log Z by a transfer matrix."""

import math

import numpy as np

from ebmjax.checks import ArgumentError


def onsager_energy(beta: float) -> float:
    """Mean energy a spin of the infinite square Ising lattice, J = 1: exact, in units of J.

        u = -coth(2 beta) [1 + 2/π (2 tanh²(2 beta) - 1) K(k)],    k = 2 sinh(2 beta) / cosh²(2 beta)

    Raises ValueError for a beta that is not above 0, or is β_c, where K diverges. Onsager (1944), eq. 112.

    >>> round(onsager_energy(0.3), 6)
    -0.704499
    """
    if not 0 < beta < math.inf:
        raise ArgumentError(f"beta: got {beta}, wanted a finite number above 0")
    modulus = 2 * math.sinh(2 * beta) / math.cosh(2 * beta) ** 2
    if modulus >= 1:
        raise ArgumentError(f"beta: got {beta}, the critical point, where the closed form is 0 · inf")
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
        raise ArgumentError(f"columns: got {columns}, wanted 3 to 10")
    if rows < 3:
        raise ArgumentError(f"rows: got {rows}, wanted at least 3")
    states = 2 * ((np.arange(2**columns)[:, None] >> np.arange(columns)) & 1) - 1
    within = np.sum(states * np.roll(states, 1, axis=1), axis=1) + field * states.sum(axis=1)
    exponents = beta * (states @ states.T + (within[:, None] + within) / 2)
    largest = exponents.max()
    # the largest eigenvalue dominates: powers of the others never overflow when measured by it
    eigenvalues = np.linalg.eigvalsh(np.exp(exponents - largest))
    top = eigenvalues[-1]
    return float(rows * (largest + np.log(top)) + np.log(np.sum((eigenvalues / top) ** rows)))
