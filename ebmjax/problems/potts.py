"""Exact results for the Potts model on the square lattice."""

import math

import numpy as np

from ebmjax.checks import ArgumentError


def latent_heat(states: int) -> float:
    """The latent heat per site of the infinite square Potts lattice with J = 1, at its transition; 0 for q ≤ 4.

        2 (1 + 1/√q) tanh(θ/2) Π_n tanh²(n θ),    n = 1, 2, …,    2 cosh θ = √q

    It is the distance of the mean energies of the two phases. Raises ValueError for fewer than 2 states.

    Baxter (1973), "Potts model at the critical temperature", eq. 27; Wu (1982), "The Potts model", eq. 5.28.

    >>> round(latent_heat(10), 5), latent_heat(3)
    (0.69605, 0.0)
    """
    if not isinstance(states, (int, np.integer)) or states < 2:
        raise ArgumentError(f"states: got {states!r}, wanted an integer of at least 2")
    if states <= 4:
        return 0.0
    theta = math.acosh(math.sqrt(states) / 2)
    product = np.prod(np.tanh(np.arange(1, 1 + math.ceil(40 / theta)) * theta) ** 2)
    return float(2 * (1 + 1 / math.sqrt(states)) * math.tanh(theta / 2) * product)
