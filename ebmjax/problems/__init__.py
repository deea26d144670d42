"""Problems with known answers, which tests, experiments and benchmarks share.

    horn    the data of the lectures, with their true manifolds and noise floor
    ising   the exact energy, magnetization and partition function of the square lattice
    potts   the exact latent heat of the square lattice

All functions are lifted here: `ebm.problems.ellipse_data`.
"""

from ebmjax.problems import horn, ising, potts
from ebmjax.problems.horn import ALPHA, BETA, NOISE, NOISE_FLOOR, HornData, ellipse_data, horn_data, horn_radii
from ebmjax.problems.ising import onsager_energy, onsager_magnetization, periodic_lattice, transfer_matrix
from ebmjax.problems.potts import latent_heat

__all__ = [
    "ALPHA",
    "BETA",
    "NOISE",
    "NOISE_FLOOR",
    "HornData",
    "ellipse_data",
    "horn",
    "horn_data",
    "horn_radii",
    "ising",
    "latent_heat",
    "onsager_energy",
    "onsager_magnetization",
    "periodic_lattice",
    "potts",
    "transfer_matrix",
]
