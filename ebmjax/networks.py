"""The networks inside energies: the only file that imports Flax.

NNX modules are pytrees: they go through `jax.grad`, `jit`, `vmap` and `scan` as parameters do.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.types import Scalar, check_shape, is_static

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
            raise ValueError(f"sizes: got {sizes}, wanted at least two positive layer sizes")
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


class ConvolutionalEncoder(nnx.Module):
    """Two strided 5 × 5 convolutions, then a dense layer: a picture (rows, columns) to `size` numbers.

    >>> ConvolutionalEncoder(jax.random.key(0), (8, 12), 6)(jnp.ones((8, 12))).shape
    (6,)
    """

    def __init__(
        self,
        key: Key[Array, ""],
        shape: tuple[int, int],
        size: int,
        channels: tuple[int, int] = (16, 32),
        activation: Activation = jax.nn.silu,
    ):
        """Raises ValueError unless rows and columns are multiples of 4, which the strides halve twice."""
        rows, columns = _quarter(shape)
        rngs = nnx.Rngs(params=key)
        self.shape = tuple(shape)
        self.first = nnx.Conv(1, channels[0], (5, 5), strides=2, rngs=rngs)
        self.second = nnx.Conv(channels[0], channels[1], (5, 5), strides=2, rngs=rngs)
        self.last = nnx.Linear(rows * columns * channels[1], size, rngs=rngs)
        self.activation = activation

    def __call__(self, picture: Float[Array, "rows columns"]) -> Float[Array, " size"]:
        """Linear after the last layer. Raises ValueError for a picture of another shape."""
        check_shape("picture", picture, self.shape)
        hidden = self.activation(self.first(picture[..., None]))
        return self.last(self.activation(self.second(hidden)).ravel())


class ConvolutionalDecoder(nnx.Module):
    """The way back: a dense layer, then two transposed 5 × 5 convolutions to a picture (rows, columns).

    >>> ConvolutionalDecoder(jax.random.key(0), 6, (8, 12))(jnp.ones(6)).shape
    (8, 12)
    """

    def __init__(
        self,
        key: Key[Array, ""],
        size: int,
        shape: tuple[int, int],
        channels: tuple[int, int] = (16, 32),
        activation: Activation = jax.nn.silu,
    ):
        """Raises ValueError unless rows and columns are multiples of 4."""
        self.small = (*_quarter(shape), channels[1])
        rngs = nnx.Rngs(params=key)
        self.first = nnx.Linear(size, math.prod(self.small), rngs=rngs)
        self.second = nnx.ConvTranspose(channels[1], channels[0], (5, 5), strides=2, rngs=rngs)
        self.last = nnx.ConvTranspose(channels[0], 1, (5, 5), strides=2, rngs=rngs)
        self.activation = activation

    def __call__(self, code: Float[Array, " size"]) -> Float[Array, "rows columns"]:
        """Linear after the last layer. Raises ValueError for a code of another size."""
        check_shape("code", code, (self.first.in_features,))
        hidden = self.activation(self.first(code)).reshape(self.small)
        return self.last(self.activation(self.second(hidden)))[..., 0]


def _quarter(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 4 or shape[0] % 4 or shape[1] % 4:
        raise ValueError(f"shape: got {shape}, wanted rows and columns that are multiples of 4")
    return shape[0] // 4, shape[1] // 4


class ScalarConvolution(nnx.Module):
    """3 × 3 convolutions of stride 2, then one dense layer to a number: an energy of one picture (rows, columns).

    Nothing is pooled: with a smooth activation the gradient in the picture is continuous.

    >>> ScalarConvolution(jax.random.key(0), (8, 12), (4, 8))(jnp.ones((8, 12))).shape
    ()
    """

    def __init__(
        self,
        key: Key[Array, ""],
        shape: tuple[int, int],
        channels: Sequence[int],
        activation: Activation = jax.nn.silu,
    ):
        """Raises ValueError for no channels or a size below 1, and for a picture too small to be halved so often."""
        channels = tuple(channels)
        if not channels or min(channels) < 1:
            raise ValueError(f"channels: got {channels}, wanted at least one positive number of channels")
        if len(shape) != 2 or min(shape) < 2 ** len(channels):
            least = 2 ** len(channels)
            raise ValueError(f"shape: got {shape}, wanted rows and columns of at least {least}, halved each time")
        self.shape = tuple(shape)
        self.activation = activation
        rngs = nnx.Rngs(params=key)
        pairs = zip((1, *channels[:-1]), channels, strict=True)
        self.layers = nnx.List([nnx.Conv(size, out, (3, 3), strides=2, rngs=rngs) for size, out in pairs])
        left = [-(-size // 2 ** len(channels)) for size in shape]
        self.last = nnx.Linear(math.prod(left) * channels[-1], 1, rngs=rngs)

    def __call__(self, picture: Float[Array, "rows columns"]) -> Float[Array, ""]:
        """Linear after the last layer."""
        hidden = picture[..., None]
        for layer in self.layers:
            hidden = self.activation(_halved(layer, hidden))
        return self.last(hidden.ravel())[0]


def _halved(layer: nnx.Conv, picture: Float[Array, "rows columns in"]) -> Float[Array, "half_rows half_columns out"]:
    """A 3 × 3 convolution of stride 2 as one product of all patches.

    Within a loop on CPU, such as Langevin's, XLA does not use the kernels that it has for convolutions outside of one:
    there this takes a fifth of the time.
    """
    sizes = picture.shape[:2]
    halves = [-(-size // 2) for size in sizes]
    missing = [2 * half + 1 - size for half, size in zip(halves, sizes, strict=True)]
    # what padding "SAME" does: the odd one at the end
    padded = jnp.pad(picture, [*((width // 2, width - width // 2) for width in missing), (0, 0)])
    shifted = lambda i, j: padded[i : i + 2 * halves[0] - 1 : 2, j : j + 2 * halves[1] - 1 : 2]
    patches = jnp.concatenate([shifted(i, j) for i in range(3) for j in range(3)], axis=-1)
    kernel = jnp.asarray(layer.kernel)
    return patches @ kernel.reshape(-1, kernel.shape[-1]) + jnp.asarray(layer.bias)[None, None]


def spectrally_normalized(module: PyTree[Array], bound: Scalar = 1.0) -> PyTree[Array]:
    """Every kernel W scaled down to W · bound/σ where its largest singular value σ exceeds `bound`.

    A network of L dense layers and an activation of slopes at most s then changes by at most bound^L s^(L-1) ‖Δy‖; its
    law at temperature 1/beta cannot have arbitrarily narrow wells. A kernel of a convolution counts as the matrix from
    all that it sees to its output channels, as in the source.

    σ = uᵀWv with u and v from power iterations, which are constants to derivatives; the iterations square the smaller
    Gram matrix ten times, which is 1,024 of them, from the axis that is nearest to its greatest direction.

    Args:
        module: a network, or any pytree of arrays; leaves of two axes or more, the last of them outputs, are kernels.
        bound: above 0.

    Returns:
        the same pytree, so that `energy(spectrally_normalized(params), y)` is an energy of the same params.

    Raises:
        ValueError: a static bound that is not above 0.

    Miyato et al. (2018), "Spectral normalization for generative adversarial networks", algorithm 1.

    >>> spectrally_normalized({"kernel": jnp.diag(jnp.array([4.0, 2.0])), "bias": jnp.array([3.0])})["kernel"].tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """
    if is_static(bound) and not float(bound) > 0:
        raise ValueError(f"bound: got {float(bound)}, wanted a number above 0")

    def normalized(leaf: Float[Array, "..."]) -> Float[Array, "..."]:
        if leaf.ndim < 2:
            return leaf
        limit = jnp.asarray(bound).astype(leaf.dtype)
        largest = _largest_singular_value(leaf.reshape(-1, leaf.shape[-1]))
        return leaf * jnp.where(largest > limit, limit / jnp.where(largest > limit, largest, 1), 1)

    return jax.tree.map(normalized, module)


def _largest_singular_value(matrix: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """uᵀWv, whose slope in W is u vᵀ."""
    held = jax.lax.stop_gradient(matrix)
    tall = held if held.shape[0] >= held.shape[1] else held.T
    exact = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    scaled = lambda gram: gram / jnp.maximum(jnp.trace(gram), jnp.finfo(gram.dtype).tiny)
    gram = scaled(exact(tall.T, tall))
    for _ in range(10):
        gram = scaled(exact(gram, gram))
    # the column of the largest diagonal entry is never orthogonal to the direction that is sought
    right = _unit_vector(gram[:, jnp.argmax(jnp.diagonal(gram))])
    left = _unit_vector(exact(tall, right))
    if tall is not held:
        left, right = right, left
    return exact(left, exact(matrix, right))


def _unit_vector(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.sqrt(jnp.sum(vector**2)), jnp.finfo(vector.dtype).tiny)


def _tiny(layer: nnx.Linear, inputs: Float[Array, " in"]) -> Float[Array, " out"]:
    """A layer of a few units as a sum: it fuses with what surrounds it, where a product is a call on CPU."""
    kernel, bias = jnp.asarray(layer.kernel), jnp.asarray(layer.bias)
    return (inputs[:, None] * kernel).sum(axis=0) + bias
