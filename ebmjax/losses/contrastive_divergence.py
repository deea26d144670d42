"""The contrast of two sets of positions, whose gradient is that of the likelihood where the second follows the model.

    L = mean E(x⁺) - mean E(x⁻),    ∇L = ∇ mean -log p / beta  when x⁺ ~ p(· | data) and x⁻ ~ p

The positions are constants: nothing is differentiated through a sampler.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from ebmjax.losses.energy import Loss, mean_over_samples


def contrast(energy: Callable[[Any, Any], Any]) -> Loss:
    """`loss(params, (positives, negatives))`: the gap between the mean energies of data and model, in units of energy.

    Args:
        energy: `energy(params, position) -> scalar`: an energy of a whole state, or a free energy of what is seen.

    Returns:
        A loss whose batch is a pair of stacked positions, as many as one likes of each.

    Hinton (2002), eq. 5.

    >>> import jax.numpy as jnp
    >>> loss = contrast(lambda w, s: -w * s[0] * s[1])
    >>> float(jax.grad(loss)(2.0, (jnp.array([[1.0, 1.0]]), jnp.array([[1.0, -1.0], [1.0, 1.0]]))))
    -1.0
    """
    mean_energy = mean_over_samples(energy)

    def loss(params: Any, batch: tuple[Any, Any]) -> Float[Array, ""]:
        positives, negatives = jax.lax.stop_gradient(batch)
        return mean_energy(params, positives) - mean_energy(params, negatives)

    return loss
