"""Variational learning: hidden units are not sampled but given means, which push down on a bound of the likelihood.

    -log p(v) / beta <= F(q) + log Z / beta - log|cube| / beta,    F(q) = <E(v, h)>_q + KL(q‖w) / beta

where log|cube| is log 2 a hidden unit. With the best independent q of each sample, and chains of the model for the
slope of log Z, the contrast of the two is the learning of deep Boltzmann machines:

    learner = contrastive(deep_boltzmann.energy, mean_field_phase(...), persistent(...), optimizer)

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", algorithm 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jaxtyping import Array, Key

from ebmjax.learn.contrast.phases import Phase, Start
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.temperature import check_beta
from ebmjax.types import BITS, Alphabet, Beta, check_count


def mean_field_phase(
    energy: Callable[[Any, Any], Any],
    start: Start,
    beta: Beta,
    blocks: Sequence[Sequence[int]],
    max_steps: int = 30,
    alphabet: Alphabet = BITS,
    tolerance: float = 1e-4,
) -> Phase:
    """The positive phase of a model with hidden units, each sample with the mean fields of what is hidden.

    Positions are means, not states. An energy that is linear in each unit is at the means what it is on average, so
    that the contrast of such positions with states of the model has the gradient of the bound.

    Args:
        energy: `energy(params, layers) -> scalar`, linear in each unit while the others are held.
        start: `start(key, sample) -> layers`: the sample, and means to begin with, such as ½.
        beta: inverse temperature in [0, inf].
        blocks: the hidden layers, as for `mean_field`; a layer in no block is held: observed.
        max_steps: sweeps at most, at least 1. Fewer than are needed still bound the likelihood, less tightly.
        alphabet: the two values of a unit.
        tolerance: no more sweeps once no mean changes by more than this share of high - low.

    Raises:
        ValueError: a bad beta, max_steps below 1.

    >>> import jax.numpy as jnp
    >>> start = lambda key, v: (v, jnp.full(2, 0.5))
    >>> phase = mean_field_phase(lambda w, s: -w * (s[0] @ s[1]), start, 1.0, ((1,),))
    >>> positions, _ = phase.sample(jax.random.key(0), 1.0, None, jnp.ones((5, 2)))
    >>> [layer.shape for layer in positions], round(float(positions[1][0, 0]), 3)
    ([(5, 2), (5, 2)], 0.731)
    """
    check_beta(beta)
    check_count("max_steps", max_steps)

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        def means(key, sample):
            known = lambda layers: energy(params, layers)
            return mean_field(known, start(key, sample), beta, blocks, alphabet, max_steps, tolerance).value

        return jax.vmap(means)(jax.random.split(key, len(jax.tree.leaves(batch)[0])), batch), memory

    return Phase(lambda key, params: None, sample)
