"""Sparse codes: minimize a smooth misfit plus a regularizer, with a certificate of how near the minimum is.

`coordinate`     coordinate descent with an active set: one dictionary, one or many observations, a path of weights
`rounds`         what `coordinate` does for one observation, and how far rounding puts it off
`proximal`       ISTA, FISTA, restarted FISTA, backtracking: any smooth term, any regularizer
`admm`           one matrix factorization for many observations
`convolutional`  ADMM in the Fourier domain: sparse maps of a picture
`predictive`     codes that have to stay near the prediction of an encoder
`implicit`       derivatives of a code with respect to anything, without differentiating the loop
`find_code`      the signature `find(params, regularizer, y, start)` that learners take, and how each solver gets it
`rounds`         the rounds of `coordinate`, and what rounding does to them
`certificate`    the bound of energy - least energy that `proximal` and `admm` report as `Solution.gap`
"""

from ebmjax.minimize.codes import (
    admm,
    certificate,
    convolutional,
    coordinate,
    find_code,
    implicit,
    predictive,
    proximal,
    rounds,
)

__all__ = [
    "admm",
    "certificate",
    "convolutional",
    "coordinate",
    "find_code",
    "implicit",
    "predictive",
    "proximal",
    "rounds",
]
