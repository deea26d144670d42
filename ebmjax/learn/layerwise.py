"""Unrolled networks trained one layer after the other, which reaches depths where training all at once does not.

At stage k the network has k layers. First layer k is trained alone, then all k layers together at lower rates.
Stages may add several layers, for fewer of them and fewer compilations.
Chen, Liu, Wang, Yin (2018), "Theoretical linear convergence of unfolded ISTA", appendix.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError
from ebmjax.learn.gradient import gradient
from ebmjax.learn.train import train
from ebmjax.losses.functional import Loss

JOINT_RATES = (0.2, 0.02)
"""The rates at which all layers are trained together, as parts of that of the new layer alone: the published ones."""


def layerwise(
    key: Key[Array, ""],
    loss: Loss,
    optimizer: Callable[[Any], optax.GradientTransformation],
    weights: Any,
    data: Any,
    batch_size: int,
    epochs: int,
    joint: Sequence[float] = JOINT_RATES,
    begin: Callable[[Any, int], Any] | None = None,
    depths: Sequence[int] | None = None,
) -> tuple[Any, Float[Array, "stages phases"]]:
    """Train K layers in K stages of 1 + len(joint) phases.

    Args:
        key: typed random key.
        loss: `loss(weights, batch)` for weights of any number of layers.
        optimizer: `optimizer(scale)`, with rates that are `scale` times those of a new layer: `lambda scale:
            optax.adam(1e-3 * scale)`.
        weights: a pytree whose every array has the leading axis K.
        data: arrays with a leading axis of samples.
        batch_size: samples an update.
        epochs: passes over the data in each phase.
        joint: scales of the phases in which all layers so far are trained.
        begin: `begin(weights, k)` sets out layer k (from 0) before it is trained, such as `from_layer_before`; by
            default it starts as it stands in `weights`.
        depths: how many layers the network has at each stage, rising to K; by default 1, 2 … K.

    Returns:
        `(weights, losses)`: the trained weights, and the mean loss of each phase's last epoch.

    Raises:
        ValueError: arrays without a common leading axis, depths that do not rise to K; what `train` raises.

    >>> loss = lambda weights, y: jnp.mean((weights.sum() - y) ** 2)
    >>> weights, losses = layerwise(jax.random.key(0), loss, optax.sgd, jnp.zeros(2), jnp.ones(4), 2, 3)
    >>> losses.shape, bool(losses[-1, -1] < 0.1)
    ((2, 3), True)
    """
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(weights)}
    if len(sizes) != 1 or sizes in ({()}, {(0,)}):
        raise ArgumentError(f"weights: got leading axes {sorted(sizes)}, wanted one number of layers for every array")
    ((layers,),) = sizes
    depths = tuple(range(1, layers + 1) if depths is None else depths)
    steps = [after - before for before, after in zip((0, *depths), depths, strict=False)]
    if not depths or min(steps) < 1 or depths[-1] != layers:
        raise ArgumentError(f"depths: got {depths}, wanted rising numbers from 1 or more to {layers}")

    @jax.jit
    def phase(key: Any, weights: Any, data: Any, scale: Any, gates: Any) -> Any:
        # gates and scales are data, so that all phases of a depth are one compilation
        gated = lambda leaf: leaf * gates.astype(leaf.dtype).reshape(-1, *(1,) * (leaf.ndim - 1))
        mask = optax.stateless(lambda updates, params: jax.tree.map(gated, updates))
        trained = train(key, gradient(loss, optax.chain(optimizer(scale), mask)), weights, data, batch_size, epochs)
        return trained.params, trained.metrics.learner.loss[-1].mean()

    losses = []
    for depth, new in zip(depths, steps, strict=True):
        for layer in range(depth - new, depth):
            weights = weights if begin is None else begin(weights, layer)
        so_far = jax.tree.map(lambda leaf: leaf[:depth], weights)
        key, *phase_keys = jax.random.split(key, 2 + len(joint))
        alone, together = jnp.arange(depth) >= depth - new, jnp.ones(depth, bool)
        reached = []
        for phase_key, scale, gates in zip(phase_keys, (1.0, *joint), (alone, *(together,) * len(joint)), strict=True):
            so_far, last = phase(phase_key, so_far, data, jnp.asarray(scale), gates)
            reached.append(last)
        weights = jax.tree.map(lambda leaf, part: leaf.at[:depth].set(part), weights, so_far)
        losses.append(jnp.stack(reached))
    return weights, jnp.stack(losses)


def from_layer_before(weights: Any, layer: int) -> Any:
    """For `begin`: every layer starts as a copy of the trained one before it.

    >>> from_layer_before(jnp.array([1.0, 2.0, 3.0]), 1).tolist()
    [1.0, 1.0, 3.0]
    """
    return weights if layer == 0 else jax.tree.map(lambda leaf: leaf.at[layer].set(leaf[layer - 1]), weights)
