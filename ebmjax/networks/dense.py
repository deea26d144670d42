"""Dense networks: a multilayer perceptron, and the predictor of the horn's radii."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_shape
from ebmjax.types import Scalar

ONES = nnx.initializers.ones_init()

Activation = Callable[[Any], Any]
"""A nonlinearity that acts on each unit alone, such as `jax.nn.relu`."""


def _positive(key, shape, dtype=jnp.float32, out_sharding=None):
    """Weights in [2, 6)/fan-in, about 4 times a mean: relu(x - t) averages 1/6 over the unit square of x and t."""
    return jax.random.uniform(key, shape, dtype, 2, 6) / shape[0]


def _rising_and_falling(key, shape, dtype=jnp.float32, out_sharding=None):
    """The same weights, all negative for every other unit: fed with rising ones, it falls where the others rise."""
    signs = 1 - 2 * (jnp.arange(shape[-1]) % 2).astype(dtype)
    return signs[None] * _positive(key, shape, dtype)


def _unit(key, shape, dtype=jnp.float32, out_sharding=None):
    return jnp.ones(shape, dtype)


def _places(key, count, dtype=jnp.float32):
    """Evenly spread places in [0, 1], each jittered within the middle half of its cell."""
    return (jnp.arange(count, dtype=dtype) + jax.random.uniform(key, (count,), dtype, 0.25, 0.75)) / count


def _kinks_inside(key, shape, dtype=jnp.float32, out_sharding=None):
    """Biases that put the kinks of relu(x + b) at places of [0, 1]."""
    return -_places(key, shape[-1], dtype)


class MLP(nnx.Module):
    """Dense layers with a nonlinearity between them: `sizes` = (in, hidden…, out), default initialization.

    Rectified by default; an energy that is to be differentiated by its unknown wants a smooth `activation`, such as
    `jax.nn.silu` or `jnp.tanh`.

    >>> MLP(jax.random.key(0), (2, 8, 1))(jnp.ones(2)).shape
    (1,)
    """

    def __init__(self, key: Key[Array, ""], sizes: tuple[int, ...], activation: Activation = jax.nn.relu):
        """Raises ValueError for fewer than two sizes or a size below 1."""
        if len(sizes) < 2 or min(sizes) < 1:
            raise ArgumentError(f"sizes: got {sizes}, wanted at least two positive layer sizes")
        rngs = nnx.Rngs(params=key)
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.layers = nnx.List([nnx.Linear(size_in, size_out, rngs=rngs) for size_in, size_out in pairs])
        self.activation = activation

    def __call__(self, inputs: Float[Array, "... in"]) -> Float[Array, "... out"]:
        """Linear after the last layer. Raises ValueError for another last axis."""
        check_shape("inputs", inputs, (*np.shape(inputs)[:-1], self.layers[0].in_features))
        for layer in self.layers[:-1]:
            inputs = self.activation(layer(inputs))
        return self.layers[-1](inputs)


class RadiiPredictor(nnx.Module):
    """f: 1 → 8 → 8 → 2 with ReLU after the two hidden layers: the radii of the horn at x.

    A piecewise linear function is as good as its kinks are well placed, and gradient descent moves them but little. So
    the kinks of both hidden layers start spread over [0, 1], so that no unit is dead there whatever the key. Half of
    the second layer's units rise with x and half fall: a horn may widen or narrow.

    >>> RadiiPredictor(jax.random.key(0))(jnp.array(0.5)).shape
    (2,)
    """

    def __init__(self, key: Key[Array, ""]):
        rngs = nnx.Rngs(params=key)
        self.first = nnx.Linear(1, 8, kernel_init=_unit, bias_init=_kinks_inside, rngs=rngs)
        self.second = nnx.Linear(8, 8, kernel_init=_rising_and_falling, rngs=rngs)
        self.last = nnx.Linear(8, 2, kernel_init=_positive, bias_init=ONES, rngs=rngs)
        # Unit j is to be zero at the j-th place; its bias is zero so far.
        hidden = jax.nn.relu(self.first(_places(rngs.params(), 8)[:, None]))
        self.second.bias = nnx.Param(-jnp.diagonal(self.second(hidden)))

    def __call__(self, x: Scalar) -> Float[Array, "2"]:
        """Radii at one x."""
        hidden = jax.nn.relu(_tiny(self.first, jnp.reshape(jnp.asarray(x), (1,))))
        return _tiny(self.last, jax.nn.relu(_tiny(self.second, hidden)))


def _tiny(layer: nnx.Linear, inputs: Float[Array, " in"]) -> Float[Array, " out"]:
    """A layer of a few units as a sum: it fuses with what surrounds it, where a product is a call on CPU."""
    kernel, bias = jnp.asarray(layer.kernel), jnp.asarray(layer.bias)
    return (inputs[:, None] * kernel).sum(axis=0) + bias
