"""Energy-based models in JAX: minimize, marginalize at any temperature, sample, learn.

An energy is a scalar function of what is not known. Four packages answer four questions about it:

    minimize      which unknown has the least energy?             cold, beta = inf
    marginalize   what is the free energy over all unknowns?      any beta in [0, inf]
    sample        draws from exp(-beta E)/Z                       any beta in [0, inf]
    learn         shape the energy so that data lie low, by a loss of `losses`

`energies` holds the models, `losses` the losses, `likelihoods` log p(x) of large models. `diagnostics` says how far
samples are to be trusted, `problems` has problems with known answers. Every public module opens by its dotted name:
`ebm.energies.ellipse`, `ebm.sample.gibbs`. The names of every day are lifted here.
"""

from ebmjax import (
    checks,
    compiled,
    diagnostics,
    energies,
    gaussian,
    graphs,
    lattices,
    learn,
    likelihoods,
    loops,
    losses,
    marginalize,
    memory,
    minimize,
    networks,
    numerics,
    problems,
    random_bits,
    sample,
    sharding,
    states,
    temperature,
    types,
)
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.gradient import gradient
from ebmjax.learn.train import train
from ebmjax.loops import repeat, trajectory
from ebmjax.marginalize.free_energy import free_energy, log_partition, marginal, posterior
from ebmjax.marginalize.refine import refine
from ebmjax.marginalize.spaces import (
    binary_cube,
    box,
    circle,
    gauss_hermite,
    interval,
    product,
    spin_cube,
    weighted,
)
from ebmjax.minimize.descent import gradient_descent, newton
from ebmjax.minimize.search import refined_search
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.metropolis import metropolis
from ebmjax.temperature import softargmax, softargmin, softmax, softmin

__version__ = "0.1.0"

__all__ = [
    "binary_cube",
    "box",
    "checks",
    "circle",
    "compiled",
    "contrastive",
    "diagnostics",
    "energies",
    "free_energy",
    "gauss_hermite",
    "gaussian",
    "gradient",
    "gradient_descent",
    "graphs",
    "hamiltonian",
    "interval",
    "lattices",
    "learn",
    "likelihoods",
    "log_partition",
    "loops",
    "losses",
    "marginal",
    "marginalize",
    "memory",
    "metropolis",
    "minimize",
    "networks",
    "newton",
    "numerics",
    "posterior",
    "problems",
    "product",
    "random_bits",
    "refine",
    "refined_search",
    "repeat",
    "sample",
    "sharding",
    "softargmax",
    "softargmin",
    "softmax",
    "softmin",
    "spin_cube",
    "states",
    "temperature",
    "train",
    "trajectory",
    "types",
    "weighted",
]
