"""Sparse codes: minimize a smooth misfit plus a regularizer, with a certificate of how near the minimum is.

`coordinate`     coordinate descent with an active set: one dictionary, one or many observations, a path of weights
`proximal`       ISTA, FISTA, restarted FISTA, backtracking: any smooth term, any regularizer
`admm`           one matrix factorization for many observations
`convolutional`  ADMM in the Fourier domain: sparse maps of a picture
`predictive`     codes that have to stay near the prediction of an encoder
`implicit`       derivatives of a code with respect to anything, without differentiating the loop
`find_code`      the signature `find(params, regularizer, y, start)` that learners take, and how each solver gets it
`problem`        what a search for the code of one observation works on, and what it knows
`rounds`         the rounds of `coordinate`, and what rounding does to them
`homotopy`       the path of weights, which `coordinate` follows where the weight is small
`certificate`    the bound of energy - least energy that `proximal` and `admm` report as `Solution.gap`
"""

from ebmjax.minimize.codes import (
    admm,
    certificate,
    convolutional,
    coordinate,
    find_code,
    homotopy,
    implicit,
    predictive,
    problem,
    proximal,
    rounds,
)

__all__ = [
    "admm",
    "certificate",
    "convolutional",
    "coordinate",
    "find_code",
    "homotopy",
    "implicit",
    "predictive",
    "problem",
    "proximal",
    "rounds",
]
