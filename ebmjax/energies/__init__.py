"""Energies: scalar functions of one example, one file a model.

A model is a module with `energy(params, [x,] y, [z])`, the latent last, and its own closed-form conditional laws and
free energies; most have a NamedTuple `Params` and an `init`.

Latent variables    `ellipse`, `placed_ellipse`, `horn`, `generalized_horn`, `variational_autoencoder`; `latent` builds
                    an energy from a cost, a decoder, a predictor and a regularizer of your own
Spins and bits      `hopfield`, `modern_hopfield`, `ising`, `boltzmann`, `deep_boltzmann`, `restricted_boltzmann`,
                    `restricted_boltzmann_gaussian`, `restricted_boltzmann_labels`
On any graph        `ising_on_graph`: spins; `potts`: units of q states; `xy`: angles. `ebmjax.graphs` reads graphs and
                    `ebmjax.lattices` makes lattices
Sparse codes        `sparse_coding`, `convolutional_sparse_coding`, `convolutional_encoder`; `regularizers` of codes
Networks            `neural`: dense and convolutional energies
Energies of energies   `composition`: sums, products, mixtures, negation, temperature, interpolation; `penalties` of a
                    latent variable, and noise; `clamp`: some units clamped at known values
"""

from ebmjax.energies import (
    boltzmann,
    clamp,
    composition,
    convolutional_encoder,
    convolutional_sparse_coding,
    deep_boltzmann,
    ellipse,
    generalized_horn,
    hopfield,
    horn,
    ising,
    ising_on_graph,
    latent,
    modern_hopfield,
    neural,
    penalties,
    placed_ellipse,
    potts,
    regularizers,
    restricted_boltzmann,
    restricted_boltzmann_gaussian,
    restricted_boltzmann_labels,
    sparse_coding,
    variational_autoencoder,
    xy,
)

__all__ = [
    "boltzmann",
    "clamp",
    "composition",
    "convolutional_encoder",
    "convolutional_sparse_coding",
    "deep_boltzmann",
    "ellipse",
    "generalized_horn",
    "hopfield",
    "horn",
    "ising",
    "ising_on_graph",
    "latent",
    "modern_hopfield",
    "neural",
    "penalties",
    "placed_ellipse",
    "potts",
    "regularizers",
    "restricted_boltzmann",
    "restricted_boltzmann_gaussian",
    "restricted_boltzmann_labels",
    "sparse_coding",
    "variational_autoencoder",
    "xy",
]
