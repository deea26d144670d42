"""Losses: functionals of energies and free energies, `loss(params, batch) -> scalar`.

`functional`         from a function of one sample to a loss of a batch
`energy`             the mean free energy of the data, for architectures that cannot be low everywhere
`margin`             hinge and log losses of observed against contrasting samples
`likelihood`         exact likelihoods, where a space can be enumerated or integrated
`pseudo_likelihood`  of binary units, without Z
`contrast`           mean energy of data less that of samples of the model; `ebmjax.learn.contrast` draws them
`evolved_negatives`  contrasting states from a few sweeps of a network's own evolution
`score_matching`, `noise_contrastive`   of continuous unknowns, without Z
`evidence_bound`     of latent variables with an encoder
`inferred_codes`     of networks that infer sparse codes
"""

from ebmjax.losses import (
    contrast,
    energy,
    evidence_bound,
    evolved_negatives,
    functional,
    inferred_codes,
    likelihood,
    margin,
    noise_contrastive,
    pseudo_likelihood,
    score_matching,
)

__all__ = [
    "contrast",
    "energy",
    "evidence_bound",
    "evolved_negatives",
    "functional",
    "inferred_codes",
    "likelihood",
    "margin",
    "noise_contrastive",
    "pseudo_likelihood",
    "score_matching",
]
