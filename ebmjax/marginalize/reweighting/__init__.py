"""Free energies from energies of draws at several inverse temperatures, such as those of a tempering run.

Each estimator takes `(betas, energies)`, where row k of the energies has those of draws from exp(-betas[k] E)/Z, and
returns an `Estimate` of log Z at every beta, relative to a reference: log Z at betas[0], which is log|Z| of the space
where betas[0] = 0.

`mbar`              all draws for every beta: the smallest error
`bar`               each pair of neighbours by itself: less memory, nearly the same error where only neighbours overlap
`stepping_stones`   exponential means from each state to the next: bounds from both sides
`integration`       thermodynamic integration: needs no overlap, but temperatures that are close enough
`mixture`           the solution of `mbar` at any beta: log Z, free energy, mean energy, heat capacity and other means,
                    with derivatives and covariances
`inefficiency`      how many correlated draws are worth one independent draw; thinning
`blocks`            a second standard error, by a block bootstrap, and whether the two agree

`draws` has the checks and the sums that all share, `solve` the equations of `mbar`, `pair` the one of `bar`.
"""

from ebmjax.marginalize.reweighting import (
    bar,
    blocks,
    draws,
    inefficiency,
    integration,
    mbar,
    mixture,
    pair,
    solve,
    stepping_stones,
)

__all__ = [
    "bar",
    "blocks",
    "draws",
    "inefficiency",
    "integration",
    "mbar",
    "mixture",
    "pair",
    "solve",
    "stepping_stones",
]
