"""The contrast of two sets of positions, whose gradient is that of the likelihood where the second follows the model.

    L = mean E(x⁺) - mean E(x⁻),    ∇L = ∇ mean -log p / beta  when x⁺ ~ p(· | data) and x⁻ ~ p

The positions are constants: nothing is differentiated through a sampler. The contrast does not mind a constant added
to the energy, nor how far the energies of both sets run away together; a penalty on their size holds them.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from ebmjax.checks import check_not_negative
from ebmjax.losses.functional import Loss, mean_over_samples
from ebmjax.types import Scalar


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


def penalized_contrast(energy: Callable[[Any, Any], Any], weight: Scalar) -> Loss:
    """The contrast, and `weight` times the mean squares of both energies, which keep an energy that is learned small.

        L = mean E(x⁺) - mean E(x⁻) + weight · (mean E(x⁺)² + mean E(x⁻)²)

    Args:
        energy: as for `contrast`.
        weight: in units of one over the energy, not negative; 0 is the plain contrast.

    Raises:
        ValueError: a static negative weight.

    Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", eq. 5.

    >>> import jax.numpy as jnp
    >>> loss = penalized_contrast(lambda w, x: w * x, 0.5)
    >>> float(loss(1.0, (jnp.array([1.0, 3.0]), jnp.array([2.0]))))  # 2 - 2 + 0.5 (5 + 4)
    4.5
    """
    check_not_negative("weight", weight)
    plain = contrast(energy)
    mean_square = mean_over_samples(lambda params, position: energy(params, position) ** 2)

    def loss(params: Any, batch: tuple[Any, Any]) -> Float[Array, ""]:
        positives, negatives = jax.lax.stop_gradient(batch)
        size = mean_square(params, positives) + mean_square(params, negatives)
        return plain(params, batch) + weight * size

    return loss
