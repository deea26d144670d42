"""Marginalize (warm, any beta in [0, inf]): free energies, posteriors and partition functions.

few latent dimensions, or units that can be enumerated   `spaces` and `free_energy`: exact, or to the error of a grid
peaks narrower than the grid                             `refine`; `free_energy.marginal` says when it is needed
many binary units                                        `mean_field`: an upper bound of the free energy
a latent vector with an approximate posterior            `importance_sampling`: an unbiased estimate of Z
"""

from ebmjax.marginalize import free_energy, importance_sampling, mean_field, refine, spaces

__all__ = [
    "free_energy",
    "importance_sampling",
    "mean_field",
    "refine",
    "spaces",
]
