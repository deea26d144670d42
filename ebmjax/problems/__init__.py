"""Problems with known answers, which tests, experiments and benchmarks share.

    horn        the data of the lectures, with their true manifolds and noise floor
    ising       the exact energy, magnetization and partition function of the square lattice
    potts       the exact latent heat of the square lattice
    planting    spin glasses whose ground state was chosen first: tiles in 2-D and 3-D, Wishart
    max_cut     the largest cut of a graph, as an Ising model
    laws        laws of continuous unknowns with their exact moments, from which samplers draw

The functions of the first three are lifted here: `ebm.problems.ellipse_data`. The others have a module of their own:
`ebm.problems.planting.cube_tiles`, and each law `ebm.problems.laws.funnel.funnel()`.
"""

from ebmjax.problems import horn, ising, laws, max_cut, planting, potts
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
    "max_cut",
    "onsager_energy",
    "onsager_magnetization",
    "periodic_lattice",
    "planting",
    "potts",
    "transfer_matrix",
]
