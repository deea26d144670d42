"""Unrolled networks: sparse inference in K layers whose weights are learned. Read in this order:

`unroll`      the scan over layers that all share; weights tied, or one set a layer
`lista`       learned ISTA (all weights free) and coupled LISTA (one matrix)
`alista`      analytic weights: only steps and thresholds are learned
`hyperlista`  three numbers in all
`support`     support selection: the largest entries pass the threshold unchanged

`ebmjax.losses.inferred_codes` trains them, at once or with `ebmjax.learn.layerwise`.
"""

from ebmjax.minimize.unrolled import alista, hyperlista, lista, support, unroll

__all__ = [
    "alista",
    "hyperlista",
    "lista",
    "support",
    "unroll",
]
