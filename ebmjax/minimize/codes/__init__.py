"""Sparse codes: the minimum of a smooth term and a regularizer, with a certificate of how near it is.

`coordinate`     coordinate descent with an active set: one dictionary, one or many observations, a path of weights
`proximal`       ISTA, FISTA, restarted FISTA, backtracking: any smooth term, any regularizer
`admm`           one factorization for many observations
`convolutional`  ADMM in the Fourier domain: sparse maps of a picture
`predictive`     from the guess of an encoder, which the code may not leave far
`implicit`       derivatives of a code with respect to anything, without differentiating the loop
"""

from ebmjax.minimize.codes import admm, convolutional, coordinate, implicit, predictive, proximal

__all__ = [
    "admm",
    "convolutional",
    "coordinate",
    "implicit",
    "predictive",
    "proximal",
]
