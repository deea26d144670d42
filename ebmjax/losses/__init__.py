"""Losses: what learning makes small. Most are `loss(params, batch) -> scalar`, of an energy or a free energy F.

Which one to take:

    you have                                                        take
    an architecture whose F cannot be low everywhere                `energy`
    data, and wrong answers that have to have a higher F            `margin`
    a space of y that can be enumerated or integrated               `likelihood`
    units of two values, too many to enumerate                      `pseudo_likelihood`
    a sampler of the model                                          `contrast`, by `ebmjax.learn.contrast`
    patterns that a Hopfield network has to store                   `evolved_negatives`
    a smooth energy of continuous y, and no sampler                 `score_matching`
    the same, and a known density of noise that is close to data    `noise_contrastive`, which also learns Z
    latent variables and an encoder                                 `evidence_bound`
    a network that infers sparse codes                              `inferred_codes`

`functional` has the types of losses, and turns a loss of one sample into a loss of a batch. A loss that draws random
numbers is `loss(key, params, batch)`: sliced and denoising score matching, noise-contrastive estimation and evidence
bounds. `ebmjax.learn.gradient` learns by both kinds.
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
