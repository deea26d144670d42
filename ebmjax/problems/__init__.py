"""Problems with known answers, which tests, experiments and benchmarks share.

    horn    the data of the lectures, with their true manifolds and noise floor
    ising   the exact energy, magnetization and partition function of the square lattice
    potts   the exact latent heat of the square lattice
    laws    laws of continuous unknowns with their exact moments, from which samplers draw

The functions of the first three are lifted here: `ebm.problems.ellipse_data`. Each law has a module of its own:
`ebm.problems.laws.funnel.funnel()`.
"""

from ebmjax.problems import horn, ising, laws, potts
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
    "laws",
    "onsager_energy",
    "onsager_magnetization",
    "periodic_lattice",
    "potts",
    "transfer_matrix",
]
