"""Stochastic volatility: returns whose variance follows an autoregressive path, on data that are simulated."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ebmjax.checks import check_count
from ebmjax.problems.laws.problem import Problem, normal_start

SEED = 0
LEVEL, SPREAD, PERSISTENCE = -1.0, 0.3, 0.95
"""μ, σ and φ of the simulated returns."""


def returns(steps: int = 100) -> Float[np.ndarray, " steps"]:
    """The simulated returns (NumPy, seed 0), by the model of `stochastic_volatility` with the true values above.

    Raises ValueError for fewer than one step.

    >>> returns(3).shape
    (3,)
    """
    check_count("steps", steps)
    random = np.random.default_rng(SEED)
    shocks, noise = random.normal(size=(2, int(steps)))
    path = [shocks[0] / np.sqrt(1 - PERSISTENCE**2)]
    for shock in shocks[1:]:
        path.append(PERSISTENCE * path[-1] + shock)
    return np.exp((LEVEL + SPREAD * np.array(path)) / 2) * noise


def stochastic_volatility(steps: int = 100) -> Problem:
    """The posterior of (μ, log σ, a, u₁, …, u_T), with φ = tanh(a/2).

        y_t ~ N(0, exp(μ + σ u_t)),    u_t ~ N(φ u_{t-1}, 1),    u₁ ~ N(0, 1/(1 - φ²))
        μ ~ Cauchy(5),    σ ~ half-Cauchy(2),    (φ + 1)/2 ~ Beta(20, 1.5)

    The path u has innovations of variance 1, so that σ makes no funnel, and the energy needs no recursion. Truth: None,
    only a long run has it. Raises ValueError for fewer than one step.

    Kim, Shephard and Chib (1998), "Stochastic volatility"; the priors are those of Inference Gym, whose own data are
    not in a package.

    >>> problem = stochastic_volatility(10)
    >>> problem.unknowns, bool(jnp.isfinite(problem.energy(jnp.zeros(13))))
    (13, True)
    """
    data = returns(steps)
    squares = np.asarray(data**2, np.float32)

    def energy(x):
        level, log_spread, logit, path = x[0], x[1], x[2], x[3:]
        persistence = jnp.tanh(logit / 2)
        low, high = jax.nn.softplus(logit), jax.nn.softplus(-logit)  # -log of (1 - φ)/2 and of (1 + φ)/2
        prior = jnp.log1p(level**2 / 25) + jnp.log1p(jnp.exp(2 * log_spread) / 4) - log_spread + 20 * high + 1.5 * low
        log_rest = np.log(4.0).astype(np.float32).astype(x.dtype) - low - high  # log (1 - φ²)
        first = jnp.exp(log_rest) * path[0] ** 2 / 2 - log_rest / 2
        later = jnp.sum((path[1:] - persistence * path[:-1]) ** 2) / 2
        heights = level + jnp.exp(log_spread) * path
        seen = jnp.sum(heights + jnp.asarray(squares, x.dtype) * jnp.exp(-heights)) / 2
        return prior + first + later + seen

    unknowns = 3 + len(data)
    # from farther out, where exp(-heights) is huge, no chain of single precision comes back
    return Problem("stochastic volatility", energy, 1.0, unknowns, normal_start(unknowns, 0.5), None)
