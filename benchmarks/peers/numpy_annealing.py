"""NumPy's side of annealed importance sampling of a restricted Boltzmann machine, in float32."""

import numpy as np


def log_weights(
    seed: int,
    weights: np.ndarray,
    visible_bias: np.ndarray,
    hidden_bias: np.ndarray,
    base: np.ndarray,
    temperatures: int,
    chains: int,
) -> np.ndarray:
    """log w of chains from independent visible units with the biases `base` to the machine, all chains in one array.

    Salakhutdinov and Murray (2008), eqs. 15 to 18. One product of the visible units with the weights gives the fields
    of both neighbouring laws and of the next sweep. Random numbers are of SFC64, NumPy's fastest generator.

    Returns:
        (chains,), without log Z of the first law.
    """
    random = np.random.Generator(np.random.SFC64(seed))
    one = np.float32(1)
    turned = np.ascontiguousarray(weights.T)
    schedule = np.linspace(0, 1, temperatures, dtype=np.float32)

    def units(fields):
        """Units that are 1 with probability σ(field)."""
        np.negative(fields, out=fields)
        np.exp(fields, out=fields)
        fields += one
        fields *= random.random(fields.shape, dtype=np.float32)
        return (fields < one).astype(np.float32)

    def softplus(fields):
        """Σ log(1 + exp(field)) of each chain."""
        terms = np.exp(-np.abs(fields))
        np.log1p(terms, out=terms)
        terms += np.maximum(fields, 0)
        return terms.sum(axis=1)

    visible = units(np.broadcast_to(base, (chains, len(base))).copy())
    total = np.zeros(chains)
    with np.errstate(over="ignore"):
        for old, new in zip(schedule[:-1], schedule[1:], strict=True):
            fields = visible @ weights
            fields += hidden_bias
            total += (new - old) * (visible @ (visible_bias - base)) + softplus(new * fields) - softplus(old * fields)
            fields *= new
            down = units(fields) @ turned
            down += visible_bias
            down *= new
            down += (one - new) * base
            visible = units(down)
    return total


def textbook_log_weights(
    seed: int,
    weights: np.ndarray,
    visible_bias: np.ndarray,
    hidden_bias: np.ndarray,
    base: np.ndarray,
    temperatures: int,
    chains: int,
) -> np.ndarray:
    """The same as it is usually written: a function for u(t, v), one for a sweep, and NumPy's default generator."""
    random = np.random.default_rng(seed)
    schedule = np.linspace(0, 1, temperatures, dtype=np.float32)
    sigmoid = lambda fields: 1 / (1 + np.exp(-fields))
    drawn = lambda means: (random.random(means.shape, dtype=np.float32) < means).astype(np.float32)

    def log_density(t, visible):
        fields = t * (visible @ weights + hidden_bias)
        biases = (1 - t) * (visible @ base) + t * (visible @ visible_bias)
        return biases + np.logaddexp(np.float32(0), fields).sum(axis=1)

    def sweep(t, visible):
        hidden = drawn(sigmoid(t * (visible @ weights + hidden_bias)))
        return drawn(sigmoid((1 - t) * base + t * (hidden @ weights.T + visible_bias)))

    visible = drawn(sigmoid(np.broadcast_to(base, (chains, len(base)))))
    total = np.zeros(chains)
    with np.errstate(over="ignore"):
        for old, new in zip(schedule[:-1], schedule[1:], strict=True):
            total += log_density(new, visible) - log_density(old, visible)
            visible = sweep(new, visible)
    return total
