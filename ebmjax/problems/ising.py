"""Exact results for the square Ising lattice: Onsager's energy and magnetization, and log Z by a transfer matrix."""

import math

import numpy as np
import scipy.special

from ebmjax.checks import ArgumentError, check_positive


def onsager_energy(beta: float) -> float:
    """The exact mean energy per spin of the infinite square Ising lattice with J = 1, in units of J.

        u = -coth(2 beta) [1 + 2/π (2 tanh²(2 beta) - 1) K(k)],    k = 2 sinh(2 beta) / cosh²(2 beta)

    K is the complete elliptic integral of the first kind. Raises ValueError for a beta that is not positive and finite,
    or is the critical one, where K is infinite. Onsager (1944), "Crystal statistics I", eq. 112.

    >>> round(onsager_energy(0.3), 6)
    -0.704499
    """
    check_positive("beta", beta)
    modulus = 2 * math.sinh(2 * beta) / math.cosh(2 * beta) ** 2
    if modulus >= 1:
        raise ArgumentError(f"beta: got {beta}, the critical point, where the closed form is 0 · inf")
    elliptic = float(scipy.special.ellipk(modulus**2))
    return -(1 + 2 / math.pi * (2 * math.tanh(2 * beta) ** 2 - 1) * elliptic) / math.tanh(2 * beta)


def onsager_magnetization(beta: float) -> float:
    """The spontaneous magnetization per spin of the infinite square Ising lattice with J = 1.

    (1 - sinh(2 beta)⁻⁴)^⅛ for beta above the critical one, 0 below it.

    Yang (1952), "The spontaneous magnetization of a two-dimensional Ising model".

    >>> onsager_magnetization(0.4), round(onsager_magnetization(0.5), 6)
    (0.0, 0.911319)
    """
    excess = 1 - math.sinh(2 * beta) ** -4 if beta > 0 else -1.0
    return max(excess, 0.0) ** 0.125


def transfer_matrix(rows: int, columns: int, beta: float, field: float = 0.0) -> float:
    """The exact log Z of a periodic Ising lattice with J = 1 and a uniform field, by the transfer matrix T of a row.

    Z = Tr Tʳᵒʷˢ, where T is a matrix over the 2^columns states of a row. Derivatives of log Z give the means:
    <E> = -d log Z/d beta, <M> = d log Z/d field / beta.

    Raises ValueError for columns or rows below 3, for which bonds would count twice, or more than 10 columns.

    Kramers and Wannier (1941), "Statistics of the two-dimensional ferromagnet".

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
    # relative to the largest eigenvalue, the powers do not overflow
    eigenvalues = np.linalg.eigvalsh(np.exp(exponents - largest))
    top = eigenvalues[-1]
    return float(rows * (largest + np.log(top)) + np.log(np.sum((eigenvalues / top) ** rows)))
