"""Laws of continuous unknowns whose moments are known, for tests and comparisons of samplers.

    gaussian             normal laws of condition 1 to 10⁴, in no coordinate's direction
    banana               a normal law that is bent
    funnel               Neal's funnel
    eight_schools        the hierarchy of Rubin, not centred
    radon                a hierarchy of counties, on simulated data
    logistic             logistic regression on any data of two classes
    volatility           a path of hidden variances, on simulated data
    mixture              25 modes on a grid
    ellipse_posterior    the latent angle of an ellipse, at any beta
    many_well            16 double wells

Every function returns a `Problem`: an energy of one vector, beta, where chains start, and the `Truth`: means and second
moments of every unknown, by a closed form or by quadrature, or None. `problem` holds these records; `quadrature` and
`regressions` compute moments. All parametrizations run over all real numbers.
"""

from ebmjax.problems.laws import (
    banana,
    eight_schools,
    ellipse_posterior,
    funnel,
    gaussian,
    logistic,
    many_well,
    mixture,
    problem,
    quadrature,
    radon,
    regressions,
    volatility,
)

__all__ = [
    "banana",
    "eight_schools",
    "ellipse_posterior",
    "funnel",
    "gaussian",
    "logistic",
    "many_well",
    "mixture",
    "problem",
    "quadrature",
    "radon",
    "regressions",
    "volatility",
]
