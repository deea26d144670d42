"""Deep Boltzmann machine: layers of binary units, with couplings between neighbouring layers and none within a layer.

    E(s⁰, …, s^L) = -Σ bₗᵀsₗ - Σ sₗᵀ Wₗ sₗ₊₁,    s ∈ {0,1}

Layer 0 is visible. Given the even layers, all units of the odd layers are independent, and the reverse. With two layers
it is the restricted Boltzmann machine.

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines".
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_example, as_float, as_params, check_count, check_key
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers

Layers = tuple[Float[Array, " _"], ...]
"""One vector of units for each layer, the visible layer first."""

Blocks = tuple[tuple[int, ...], ...]
"""Tuples of layers that are updated together."""


@record
class Params(NamedTuple):
    """Couplings and biases, in units of energy."""

    weights: tuple[Float[Array, "_ _"], ...]
    """Wₗ, each of shape (units of layer l, units of layer l + 1)."""
    biases: tuple[Float[Array, " _"], ...]
    """bₗ, one vector for each layer."""


def init(
    key: Key[Array, ""], visible_mean: Annotated[Numbers, "visible"], sizes: Sequence[int], scale: float = 0.01
) -> Params:
    """Small Gaussian weights, hidden biases of zero, and visible biases that give each unit its mean in the data.

    Args:
        key: typed random key.
        visible_mean: mean of every visible unit in the data, clipped to [0.01, 0.99], so that no bias is infinite.
        sizes: numbers of units of the hidden layers, the lowest first; at least one.
        scale: standard deviation of the weights.

    Raises:
        ValueError: no hidden layer, or an empty one.

    >>> [bias.shape for bias in init(jax.random.key(0), jnp.full(3, 0.5), (4, 2)).biases]
    [(3,), (4,), (2,)]
    """
    check_key("key", key)
    if not sizes or min(sizes) < 1:
        raise ArgumentError(f"sizes: got {tuple(sizes)}, wanted at least one hidden layer, each of at least one unit")
    mean = jnp.clip(as_float("visible_mean", visible_mean, (None,)), 0.01, 0.99)
    widths = (len(mean), *sizes)
    weights = [
        scale * jax.random.normal(layer_key, shape, mean.dtype)
        for layer_key, shape in zip(jax.random.split(key, len(sizes)), zip(widths, sizes, strict=False), strict=True)
    ]
    return Params(tuple(weights), (jnp.log(mean) - jnp.log1p(-mean), *(jnp.zeros(size, mean.dtype) for size in sizes)))


def energy(params: Params, layers: Sequence[Numbers]) -> Float[Array, ""]:
    """Energy of one state, a scalar. It is multilinear: at the means of independent units it is the mean energy.

    Raises ValueError for other parameters, another number of layers than they have, or of units in a layer.

    >>> params = Params((jnp.ones((3, 2)), jnp.ones((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> float(energy(params, (jnp.ones(3), jnp.ones(2), jnp.ones(1))))
    -8.0
    """
    params = as_params(params, Params)
    layers = _layers(params, layers)
    alone = [matmul(bias, units) for bias, units in zip(params.biases, layers, strict=True)]
    pairs = [
        matmul(matmul(below, weights), above)
        for below, weights, above in zip(layers, params.weights, layers[1:], strict=False)
    ]
    return -jnp.stack(alone + pairs).sum()


def fields(params: Params, layers: Sequence[Numbers]) -> Layers:
    """bₗ + Wₗ₋₁ᵀsₗ₋₁ + Wₗsₗ₊₁: the energy gap E(s = 0) - E(s = 1) of each unit, for every layer.

    The conditional law of a unit is P(s = 1 | rest) = σ(beta · field).

    Raises ValueError as `energy`.

    >>> params = Params((jnp.ones((3, 2)), jnp.ones((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> [field.tolist() for field in fields(params, (jnp.ones(3), jnp.ones(2), jnp.ones(1)))]
    [[2.0, 2.0, 2.0], [4.0, 4.0], [2.0]]
    """
    params = as_params(params, Params)
    layers = _layers(params, layers)
    result = list(params.biases)
    for level, weights in enumerate(params.weights):
        result[level] = result[level] + matmul(weights, layers[level + 1])
        result[level + 1] = result[level + 1] + matmul(layers[level], weights)
    return tuple(result)


def odd_even(layers: int) -> Blocks:
    """The blocks of a Gibbs sweep over all layers: first the odd layers together, then the even layers.

    Raises ValueError for fewer than 2 layers.

    >>> odd_even(4)
    ((1, 3), (0, 2))
    """
    check_count("layers", layers)
    if layers < 2:
        raise ArgumentError(f"layers: got {layers}, wanted at least 2: the visible one and a hidden one")
    return tuple(range(1, layers, 2)), tuple(range(0, layers, 2))


def odd_even_hidden(layers: int) -> Blocks:
    """The same with the visible layer clamped: for sampling, or for a mean field, given data.

    Raises ValueError for fewer than 2 layers.

    >>> odd_even_hidden(4), odd_even_hidden(2)
    (((1, 3), (2,)), ((1,),))
    """
    check_count("layers", layers)
    odd, even = odd_even(layers)
    return (odd, even[1:]) if len(even) > 1 else (odd,)


def check_params(params: Params) -> None:
    """Raise ValueError where the shapes of weights and biases do not fit each other.

    >>> check_params(Params((jnp.ones((3, 2)),), (jnp.zeros(3), jnp.zeros(3))))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: weights[0]: got shape (3, 2), wanted (3, 3): the units of layers 0 and 1
    """
    params = as_params(params, Params)
    if not params.weights:
        raise ArgumentError("weights: got none, wanted at least one, between two layers")
    if len(params.biases) != len(params.weights) + 1:
        wanted = len(params.weights) + 1
        raise ArgumentError(f"biases: got {len(params.biases)}, wanted {wanted}, one more than there are weights")
    for level, bias in enumerate(params.biases):
        if bias.ndim != 1 or not bias.size:
            raise ArgumentError(f"biases[{level}]: got shape {bias.shape}, wanted (units,) with at least one unit")
    for level, weights in enumerate(params.weights):
        wanted = (len(params.biases[level]), len(params.biases[level + 1]))
        if weights.shape != wanted:
            raise ArgumentError(
                f"weights[{level}]: got shape {weights.shape}, wanted {wanted}: "
                f"the units of layers {level} and {level + 1}"
            )


def _layers(params, layers):
    """The layers as floats, each of the shape of its bias."""
    if not isinstance(layers, tuple | list):
        raise ArgumentError(f"layers: got a {type(layers).__name__}, wanted a tuple of arrays, the visible layer first")
    if len(layers) != len(params.biases):
        raise ArgumentError(f"layers: got {len(layers)}, wanted {len(params.biases)}, one a bias")
    return tuple(
        as_example(f"layers[{level}]", units, bias, bias.shape)
        for level, (units, bias) in enumerate(zip(layers, params.biases, strict=True))
    )
