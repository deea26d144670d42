"""Unrolled networks: sparse codes in K layers, each a step of ISTA with weights of its own. Read in this order:

`unroll`      the scan over layers that all of them share; weights are shared by the layers or belong to one layer
`support`     support selection: the largest entries of a code are not shrunk
`lista`       learned ISTA: all matrices are learned; coupled LISTA: one matrix is learned
`alista`      the matrix is computed from the dictionary; step sizes and thresholds are learned
`hyperlista`  step sizes and thresholds are computed too, from three numbers

All take `(weights, y, layers)`, preceded by what is known of the dictionary, and return `unroll.Codes`. `lista.lista`
and `lista.coupled` document the arguments that they share. `ebmjax.losses.inferred_codes` has losses to train them,
all layers at once or with `ebmjax.learn.layerwise`. Products with a dictionary, or with a matrix computed from it, have
full precision; those with learned matrices have the precision of the platform, as the layers of `ebmjax.networks`.
"""

from ebmjax.minimize.unrolled import alista, hyperlista, lista, support, unroll

__all__ = [
    "alista",
    "hyperlista",
    "lista",
    "support",
    "unroll",
]
