"""The contrast of two sets of positions: the mean energy of the data less that of samples of the model.

    L = mean E(x⁺) - mean E(x⁻),    ∇L = ∇ mean -log p / beta  when x⁺ ~ p(· | data) and x⁻ ~ p

Its gradient is that of the likelihood where the second set follows the model. The positions are constants: no gradient
passes through a sampler. `ebmjax.learn.contrast.contrastive` is the learner that descends it. Contrastive divergence is
`ebmjax.learn.contrast.phases.contrastive_divergence`, one way to draw the second set.

The contrast does not change when a constant is added to E, and nothing bounds its size: the energies of both sets can
grow together without limit. `penalized_contrast` adds a penalty on their squares, which bounds them.
"""

from typing import Any

import jax
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_number, as_scalar, check_callable, check_not_negative
from ebmjax.losses.functional import Loss, as_samples, mean_over_samples
from ebmjax.types import ModelEnergy, Scalar


def contrast(energy: ModelEnergy) -> Loss:
    """`loss(params, (positives, negatives))`: the mean energy of the data less that of the model, in units of energy.

    Args:
        energy: `energy(params, position) -> scalar`: an energy of a whole state, or a free energy of what is observed.

    Returns:
        A loss whose batch is a pair of stacked positions; the two may differ in number.

    Raises:
        ValueError: what is no function; when the loss is called, a batch that is no pair.

    Hinton (2002), "Training products of experts by minimizing contrastive divergence", eq. 5.

    >>> import jax.numpy as jnp
    >>> loss = contrast(lambda w, s: -w * s[0] * s[1])
    >>> float(jax.grad(loss)(2.0, (jnp.array([[1.0, 1.0]]), jnp.array([[1.0, -1.0], [1.0, 1.0]]))))
    -1.0
    """
    check_callable("energy", energy)
    mean_energy = mean_over_samples(energy)

    def loss(params: Any, batch: tuple[Any, Any]) -> Float[Array, ""]:
        positives, negatives = _pair(batch)
        return mean_energy(params, positives) - mean_energy(params, negatives)

    return loss


def penalized_contrast(energy: ModelEnergy, weight: Scalar) -> Loss:
    """The contrast plus `weight` times the mean squares of both energies, which bounds a learned energy.

        L = mean E(x⁺) - mean E(x⁻) + weight · (mean E(x⁺)² + mean E(x⁻)²)

    Args:
        energy: as for `contrast`.
        weight: in units of one over the energy, at least 0; 0 is the plain contrast.

    Returns:
        A loss whose batch is a pair of stacked positions, in units of energy.

    Raises:
        ValueError: a static negative weight.

    Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", eq. 5.

    >>> import jax.numpy as jnp
    >>> loss = penalized_contrast(lambda w, x: w * x, 0.5)
    >>> float(loss(1.0, (jnp.array([1.0, 3.0]), jnp.array([2.0]))))  # 2 - 2 + 0.5 (5 + 4)
    4.5
    """
    check_not_negative("weight", weight)
    weight = as_number("weight", weight)
    plain = contrast(energy)
    mean_square = mean_over_samples(lambda params, position: as_scalar("energy", energy(params, position)) ** 2)

    def loss(params: Any, batch: tuple[Any, Any]) -> Float[Array, ""]:
        positives, negatives = _pair(batch)
        size = mean_square(params, positives) + mean_square(params, negatives)
        return plain(params, batch) + weight.astype(size.dtype) * size

    return loss


def _pair(batch):
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ArgumentError(f"batch: got a {type(batch).__name__}, wanted a pair (positives, negatives)")
    return jax.lax.stop_gradient((as_samples("positives", batch[0]), as_samples("negatives", batch[1])))
