"""Exact results for the square Ising lattice: Onsager's energy and magnetization, and log Z by a transfer matrix."""

import math

import numpy as np
import scipy.special

from ebmjax.checks import ArgumentError, as_float, check_count, check_not_negative, check_positive


def onsager_energy(beta: float) -> float:
    """The exact mean energy per spin of the infinite square Ising lattice with J = 1, in units of J.

        u = -coth(2 beta) [1 + 2/π (2 tanh²(2 beta) - 1) K(k)],    k = 2 sinh(2 beta) / cosh²(2 beta)

    K is the complete elliptic integral of the first kind. At the critical point, where K is infinite and its factor
    zero, the energy is -√2. Raises ValueError for a beta that is not positive and finite. Onsager (1944), "Crystal
    statistics I", eq. 112.

    >>> round(onsager_energy(0.3), 6)
    -0.704499
    >>> round(onsager_energy(math.log(1 + 2**0.5) / 2), 6)
    -1.414214
    """
    check_positive("beta", beta)
    beta = float(beta)
    if beta < 0.01:  # the first terms in t = tanh(beta), since the closed form cancels when it is hot
        t = math.tanh(beta)
        return -2 * t - (4 * t**3 + 12 * t**5) * (1 - t**2)
    # k = 2 tanh / cosh and k'² = 1 - k² = (2 tanh² - 1)², without the numbers that overflow when it is cold
    tanh, decay = math.tanh(2 * beta), math.exp(-2 * beta)
    modulus = 4 * tanh * decay / (1 + decay**2)
    other = 2 * tanh**2 - 1
    if modulus >= 1 or other == 0:
        return -1 / tanh
    elliptic = float(scipy.special.ellipkm1(other**2))
    return -(1 + 2 / math.pi * other * elliptic) / tanh


def onsager_magnetization(beta: float) -> float:
    """The spontaneous magnetization per spin of the infinite square Ising lattice with J = 1.

    (1 - sinh(2 beta)⁻⁴)^⅛ for beta above the critical one, 0 below it. Raises ValueError for a beta that is negative or
    NaN.

    Yang (1952), "The spontaneous magnetization of a two-dimensional Ising model".

    >>> onsager_magnetization(0.4), round(onsager_magnetization(0.5), 6)
    (0.0, 0.911319)
    """
    check_not_negative("beta", beta)
    decay = math.exp(-4 * float(beta))
    # sinh⁻¹ = 2 exp(-2 beta) / (1 - exp(-4 beta)), which does not overflow when it is cold
    inverse = 4 * decay / (1 - decay) ** 2 if decay < 1 else math.inf  # sinh⁻²
    return max(1 - inverse**2, 0.0) ** 0.125


def transfer_matrix(rows: int, columns: int, beta: float, field: float = 0.0) -> float:
    """The exact log Z of a periodic Ising lattice with J = 1 and a uniform field, by the transfer matrix T of a row.

    Z = Tr Tʳᵒʷˢ, where T is a matrix over the 2^columns states of a row. Derivatives of log Z give the means:
    <E> = -d log Z/d beta, <M> = d log Z/d field / beta.

    Raises ValueError for columns or rows below 3, for which bonds would count twice, or more than 10 columns.

    Kramers and Wannier (1941), "Statistics of the two-dimensional ferromagnet".

    >>> round(transfer_matrix(3, 3, 0.0), 4) == round(9 * math.log(2), 4)
    True
    """
    check_count("columns", columns)
    check_count("rows", rows)
    as_float("beta", beta, ())  # a negative one too: it is that of the opposite coupling
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


def periodic_lattice(rows: int, columns: int, beta: float) -> float:
    """The exact log Z of a periodic Ising lattice of any size with J = 1 and no field, in closed form.

        Z = ½ (2 sinh 2K)^(nm/2) [Π_r 2 cosh(m γ_2r+1 / 2) + Π_r 2 sinh(m γ_2r+1 / 2) + Π_r 2 cosh(m γ_2r / 2)
                                  + Π_r 2 sinh(m γ_2r / 2)],    r = 0, …, n - 1,    K = beta
        cosh γ_l = cosh²(2K) / sinh(2K) - cos(π l / n),    γ_0 = 2K + log tanh K, which is negative when it is hot

    Raises ValueError for fewer than 3 rows or columns, for which bonds would count twice, a beta that is not finite, or
    a negative one with an odd side, for which the formula does not hold.

    Kaufman (1949), "Crystal statistics II"; in this form Ferdinand and Fisher (1969), eqs. 2.1 to 2.8.

    >>> abs(periodic_lattice(4, 6, 0.4) - transfer_matrix(4, 6, 0.4)) < 1e-10
    True
    """
    check_count("rows", rows)
    check_count("columns", columns)
    for name, side in (("rows", rows), ("columns", columns)):
        if side < 3:
            raise ArgumentError(f"{name}: got {side}, wanted at least 3")
    as_float("beta", beta, ())
    coupling = float(beta)
    if not math.isfinite(coupling):
        raise ArgumentError(f"beta: got {coupling}, wanted a finite inverse temperature")
    if coupling < 0 and (rows % 2 or columns % 2):
        raise ArgumentError(f"beta: got {coupling} for a lattice of {rows} by {columns}, wanted even sides for it")
    coupling = abs(coupling)  # with even sides every other spin can be turned, which turns the sign of J
    if coupling < 1e-8:
        return rows * columns * math.log(2)
    decay = math.exp(-4 * coupling)
    log_sinh = 2 * coupling + math.log((1 - decay) / 2)
    cosines = np.cos(np.pi * np.arange(2 * columns) / columns)
    if coupling > 20:  # γ = log(2 cosh γ), and the cosines are nothing beside cosh γ, which could overflow
        gamma = np.full(2 * columns, 2 * coupling)
    else:
        # cosh γ - 1 is small near the critical point, where γ = log(1 + x + sqrt(x (x + 2)))
        above = math.exp(2 * coupling) * (1 + decay) ** 2 / (2 * (1 - decay)) - 1 - cosines
        above[0] = 0.0
        gamma = np.log1p(above + np.sqrt(above * (above + 2)))
    gamma[0] = 2 * coupling + math.log(math.tanh(coupling))
    halves = rows * gamma / 2
    sizes = np.abs(halves)
    log_cosh = sizes + np.log1p(np.exp(-2 * sizes))  # of 2 cosh
    with np.errstate(divide="ignore"):
        log_sine = sizes + np.log1p(-np.exp(-2 * sizes))  # of 2 |sinh|, -inf at the critical point
    terms = [part[parity::2].sum() for parity in (1, 0) for part in (log_cosh, log_sine)]
    signs = [1.0, 1.0, 1.0, float(np.sign(gamma[0]))]
    top = max(terms)
    bracket = top + math.log(sum(sign * math.exp(term - top) for sign, term in zip(signs, terms, strict=True)))
    return float(rows * columns / 2 * (math.log(2) + log_sinh) + bracket - math.log(2))
