"""The truth for small graphs: every state of all units, with its energy, in float64."""

import numpy as np

from ebmjax.graphs import from_edges
from ebmjax.marginalize.elimination.factors import Factors

RING_WITH_CHORDS = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3), (1, 4)]
GRAPHS = {
    "one unit": (1, [], 2),
    "tree": (8, [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6), (5, 7)], 2),
    "loops": (6, RING_WITH_CHORDS, 2),
    "loops of three states": (6, RING_WITH_CHORDS, 3),
    "several components": (9, [(7, 5), (5, 2), (2, 7), (0, 1), (8, 4), (4, 3)], 2),
    "complete": (10, [(i, j) for i in range(10) for j in range(i)], 2),
    "repeated edges": (4, [(0, 1), (1, 0), (2, 1), (1, 2), (2, 3)], 3),
    "bushy": (11, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6), (3, 7), (4, 8), (5, 9), (6, 10), (3, 8)], 2),
}
"""Units, edges and states of each."""


def graph(name):
    units, edges, _ = GRAPHS[name]
    return from_edges(units, edges)


def random_factors(name, seed=0, whole=False):
    """Normal energies, or whole numbers, of which many are equal."""
    units, edges, states = GRAPHS[name]
    rng = np.random.default_rng(seed)
    draw = (lambda shape: rng.integers(-1, 2, shape).astype(np.float32)) if whole else rng.standard_normal
    return Factors(draw((units, states)), draw((len(edges), states, states)))


def all_states(units, states):
    return np.stack(np.meshgrid(*[np.arange(states)] * units, indexing="ij"), axis=-1).reshape(-1, units)


def energies(name, factors):
    """The energy of every state, and the states."""
    units, edges, states = GRAPHS[name]
    every = all_states(units, states)
    unary, pair = (np.asarray(array, np.float64) for array in factors)
    total = sum(unary[i, every[:, i]] for i in range(units))
    return total + sum(pair[e, every[:, a], every[:, b]] for e, (a, b) in enumerate(edges)), every


def free_energy(values, beta):
    least = values.min()
    if beta == 0:
        return values.mean()
    return least if beta == np.inf else least - np.log(np.mean(np.exp(-beta * (values - least)))) / beta


def law(values, beta):
    """The probability of every state."""
    above = values - values.min()
    weights = (above == 0).astype(float) if beta == np.inf else np.exp(-beta * above)
    return weights / weights.sum()


def marginals(name, values, every, beta):
    _, edges, states = GRAPHS[name]
    weights = law(values, beta)
    on = np.eye(states)[every]  # (all, units, states)
    unary = np.einsum("n,nia->ia", weights, on)
    pair = [np.einsum("n,na,nb->ab", weights, on[:, a], on[:, b]) for a, b in edges]
    return unary, np.array(pair).reshape(-1, states, states)
