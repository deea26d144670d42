"""The exact moments of `problems.laws.volatility`, by quadrature, as chains of it mix very slowly.

For given μ, σ and φ the path is a Markov chain, whose states on a grid are summed out from the first time to the last
one and back. The rest is a sum over a grid of μ, log σ and a, where φ = tanh(a/2). Sums at equal distances are accurate
to far more digits than are needed, as all that is summed is smooth and falls off at both ends. Only fourth moments of μ
and of the path, which say in what unit errors are given, have tails so heavy that the ends of the grids matter.
"""

from typing import Any

import numpy as np

from ebmjax.problems.laws.problem import Truth
from ebmjax.problems.laws.volatility import returns

LEVELS = np.linspace(-7.0, 5.0, 61)
LOG_SPREADS = np.linspace(-7.0, 1.5, 35)
LOGITS = np.linspace(-1.0, 9.0, 35)
CELL, REACH = 0.7, 4.5
"""The distance of states of the path, in standard deviations of an innovation; and how far they go, in those of u."""
POWERS = (0, 1, 2, 4)


def moments(data: np.ndarray, level: np.ndarray, log_spread: np.ndarray, logit: float) -> tuple[Any, Any]:
    """log p(y, μ, log σ, a), and the means of u_t to the powers of 0, 1, 2 and 4, at pairs of μ and log σ.

    The results have the shapes (pairs,) and (powers, steps, pairs); the first is up to a constant of all grids.
    """
    persistence = np.tanh(logit / 2)
    low, high = np.logaddexp(0, logit), np.logaddexp(0, -logit)
    log_rest = np.log(4.0) - low - high
    width = REACH * np.exp(-log_rest / 2)
    grid = np.linspace(-width, width, 2 * max(int(width / CELL), 24) + 1)
    cell = grid[1] - grid[0]
    moves = np.exp(-((grid[:, None] - persistence * grid) ** 2) / 2).astype(np.float32)  # (to, from)
    heights = level + np.exp(log_spread) * grid[:, None]
    with np.errstate(over="ignore"):  # where it overflows, nothing is left
        logs = [-(heights + square * np.exp(-heights)) / 2 for square in data**2]
    tops = [log.max(axis=0) for log in logs]
    seen = [np.exp(log - top).astype(np.float32) for log, top in zip(logs, tops, strict=True)]

    total = sum(tops) + log_rest / 2
    alpha = np.exp(-np.exp(log_rest) * grid**2 / 2)[:, None].astype(np.float32) * seen[0]
    forward = [alpha]
    for step in range(1, len(data)):
        size = alpha.max(axis=0)
        total = total + np.log(size.astype(np.float64))
        alpha = (moves @ (alpha / size)) * seen[step]
        forward.append(alpha)
    total = total + np.log(alpha.sum(axis=0, dtype=np.float64)) + len(data) * np.log(cell)
    powers = np.stack([grid**power for power in POWERS]).astype(np.float32)
    means = np.empty((len(POWERS), len(data), len(level)))
    beta = np.ones_like(alpha)
    for step in range(len(data) - 1, -1, -1):
        both = forward[step] / forward[step].max(axis=0) * beta
        means[:, step] = powers @ both / both.sum(axis=0)
        beta = moves.T @ (beta * seen[step])
        beta /= beta.max(axis=0)
    prior = np.log1p(level**2 / 25) + np.log1p(np.exp(2 * log_spread) / 4) - log_spread + 20 * high + 1.5 * low
    return total - prior, means


def truth(steps: int = 100) -> tuple[Truth, dict[str, Any]]:
    """The moments of all unknowns, and how much of the weight lies at the ends of the grids."""
    data = returns(steps)
    level, log_spread = (part.ravel() for part in np.meshgrid(LEVELS, LOG_SPREADS, indexing="ij"))
    weights, of_path = np.empty((len(LOGITS), len(level))), np.zeros((len(POWERS), steps))
    reference, paths = -np.inf, np.zeros((len(POWERS), steps))
    for number, logit in enumerate(LOGITS):
        weights[number], means = moments(data, level, log_spread, float(logit))
        # what was added before is rescaled to the largest weight so far
        larger = max(reference, weights[number].max())
        paths = paths * np.exp(reference - larger) + means @ np.exp(weights[number] - larger)
        reference = larger
    weights = np.exp(weights - reference)
    of_path = paths / paths[0]
    shares = (weights / weights.sum()).reshape(len(LOGITS), len(LEVELS), len(LOG_SPREADS))
    scalars = [LEVELS, LOG_SPREADS, LOGITS]
    marginals = [shares.sum(axis=(0, 2)), shares.sum(axis=(0, 1)), shares.sum(axis=(1, 2))]
    powers = [
        np.array([share @ grid**power for share, grid in zip(marginals, scalars, strict=True)]) for power in POWERS
    ]
    first, second, fourth = (np.concatenate([powers[i], of_path[i]]) for i in (1, 2, 3))
    edges = max(float(share[end]) for share in marginals for end in (0, -1))
    found = Truth(first, second, np.sqrt(fourth - second**2), np.zeros_like(first), np.zeros_like(first), "")
    return found, {"weight_at_an_end": edges}
