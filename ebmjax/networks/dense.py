"""Dense networks: a multilayer perceptron, and the predictor of the horn's radii."""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_float
from ebmjax.networks.pickled import Pickled
from ebmjax.types import Numbers, Scalar

ONES = nnx.initializers.ones_init()

Activation = Callable[[Array], Array]
"""A nonlinearity that acts on each entry of an array, such as `jax.nn.relu`."""


def _positive(key, shape, dtype=jnp.float32, out_sharding=None):
    """Positive weights, uniform in [2, 6) / fan-in, so that a layer computes about 4 times the mean of its inputs.

    The inputs are units relu(x - t) with kinks t spread over [0, 1], whose mean over x and t is only 1/6: the factor of
    about 4 brings the outputs to the order of one.
    """
    return jax.random.uniform(key, shape, dtype, 2, 6) / shape[0]


def _rising_and_falling(key, shape, dtype=jnp.float32, out_sharding=None):
    """The same weights, negative for every other unit, whose output therefore decreases in its inputs."""
    signs = 1 - 2 * (jnp.arange(shape[-1]) % 2).astype(dtype)
    return signs[None] * _positive(key, shape, dtype)


def _unit(key, shape, dtype=jnp.float32, out_sharding=None):
    return jnp.ones(shape, dtype)


def _places(key, count, dtype=jnp.float32):
    """Random points in [0, 1]: one in the middle half of each of `count` equal cells."""
    return (jnp.arange(count, dtype=dtype) + jax.random.uniform(key, (count,), dtype, 0.25, 0.75)) / count


def _kinks_inside(key, shape, dtype=jnp.float32, out_sharding=None):
    """Biases b that put the kinks of relu(x + b) at random points of [0, 1], see `_places`."""
    return -_places(key, shape[-1], dtype)


class MLP(Pickled):
    """Dense layers with a nonlinearity between them: `sizes` = (in, hidden…, out), Flax's default initialization.

    The default activation is relu. An energy that is differentiated with respect to its unknown needs a smooth one,
    such as `jax.nn.silu` or `jnp.tanh`.

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

    def __call__(self, inputs: Annotated[Numbers, "... in"]) -> Float[Array, "... out"]:
        """The outputs; the last layer is linear. Raises ValueError for another length of the last axis."""
        inputs = as_float("inputs", inputs)
        if inputs.shape[-1:] != (self.layers[0].in_features,):
            wanted = (*inputs.shape[:-1], self.layers[0].in_features)
            raise ArgumentError(f"inputs: got shape {inputs.shape}, wanted {wanted}")
        for layer in self.layers[:-1]:
            inputs = self.activation(layer(inputs))
        return self.layers[-1](inputs)


class RadiiPredictor(nnx.Module):
    """f: 1 → 8 → 8 → 2 with relu after the two hidden layers: the radii of the horn at x.

    A piecewise linear function fits well only if its kinks are well placed, and gradient descent moves them little. So
    the kinks of both hidden layers are initialized over the whole of [0, 1], and no unit is dead there for any key.
    Half of the units of the second layer increase with x and half decrease, because a horn may widen or narrow.

    >>> RadiiPredictor(jax.random.key(0))(jnp.array(0.5)).shape
    (2,)
    """

    def __init__(self, key: Key[Array, ""]):
        rngs = nnx.Rngs(params=key)
        self.first = nnx.Linear(1, 8, kernel_init=_unit, bias_init=_kinks_inside, rngs=rngs)
        self.second = nnx.Linear(8, 8, kernel_init=_rising_and_falling, rngs=rngs)
        self.last = nnx.Linear(8, 2, kernel_init=_positive, bias_init=ONES, rngs=rngs)
        # the kink of unit j is to be at the j-th place: subtract its value there, computed with a bias of zero
        hidden = jax.nn.relu(self.first(_places(rngs.params(), 8)[:, None]))
        self.second.bias = nnx.Param(-jnp.diagonal(self.second(hidden)))

    def __call__(self, x: Scalar) -> Float[Array, "2"]:
        """The two radii at one x, a scalar. Raises ValueError for an x of another shape."""
        hidden = jax.nn.relu(_tiny(self.first, as_float("x", x, ())[None]))
        return _tiny(self.last, jax.nn.relu(_tiny(self.second, hidden)))


def _tiny(layer: nnx.Linear, inputs: Annotated[Numbers, "in"]) -> Float[Array, " out"]:
    """A layer of a few units, as a sum that XLA fuses with its surroundings; on CPU a product would be a call."""
    kernel, bias = jnp.asarray(layer.kernel), jnp.asarray(layer.bias)
    return (inputs[:, None] * kernel).sum(axis=0) + bias
