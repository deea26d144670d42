"""Convolutional networks: an encoder and a decoder of pictures, and an energy of a picture."""

import math
from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_float
from ebmjax.networks.dense import Activation
from ebmjax.networks.pickled import Pickled
from ebmjax.types import Numbers


class ConvolutionalEncoder(Pickled):
    """Two 5 × 5 convolutions of stride 2, then a dense layer: from a picture (rows, columns) to `size` numbers.

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
        """Raises ValueError unless rows and columns are multiples of 4, since they are halved twice."""
        rows, columns = _quarter(shape)
        rngs = nnx.Rngs(params=key)
        self.shape = tuple(shape)
        self.first = nnx.Conv(1, channels[0], (5, 5), strides=2, rngs=rngs)
        self.second = nnx.Conv(channels[0], channels[1], (5, 5), strides=2, rngs=rngs)
        self.last = nnx.Linear(rows * columns * channels[1], size, rngs=rngs)
        self.activation = activation

    def __call__(self, picture: Annotated[Numbers, "rows columns"]) -> Float[Array, " size"]:
        """The outputs; the last layer is linear. Raises ValueError for a picture of another shape."""
        picture = as_float("picture", picture, self.shape)
        hidden = self.activation(self.first(picture[..., None]))
        return self.last(self.activation(self.second(hidden)).ravel())


class ConvolutionalDecoder(Pickled):
    """A dense layer, then two transposed 5 × 5 convolutions of stride 2: from a code to a picture (rows, columns).

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

    def __call__(self, code: Annotated[Numbers, "size"]) -> Float[Array, "rows columns"]:
        """The picture; the last layer is linear. Raises ValueError for a code of another size."""
        code = as_float("code", code, (self.first.in_features,))
        hidden = self.activation(self.first(code)).reshape(self.small)
        return self.last(self.activation(self.second(hidden)))[..., 0]


def _quarter(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 4 or shape[0] % 4 or shape[1] % 4:
        raise ArgumentError(f"shape: got {shape}, wanted rows and columns that are multiples of 4")
    return shape[0] // 4, shape[1] // 4


class ScalarConvolution(Pickled):
    """3 × 3 convolutions of stride 2, then one dense layer: from a picture (rows, columns) to one number, its energy.

    There is no pooling, so that with a smooth activation the gradient with respect to the picture is continuous.

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
        """Raises ValueError for no channels, a number below 1, or a picture too small to be halved by each layer."""
        channels = tuple(channels)
        if not channels or min(channels) < 1:
            raise ArgumentError(f"channels: got {channels}, wanted at least one positive number of channels")
        if len(shape) != 2 or min(shape) < 2 ** len(channels):
            least = 2 ** len(channels)
            raise ArgumentError(f"shape: got {shape}, wanted rows and columns of at least {least}, halved each time")
        self.shape = tuple(shape)
        self.activation = activation
        rngs = nnx.Rngs(params=key)
        pairs = zip((1, *channels[:-1]), channels, strict=True)
        self.layers = nnx.List([nnx.Conv(size, out, (3, 3), strides=2, rngs=rngs) for size, out in pairs])
        left = [-(-size // 2 ** len(channels)) for size in shape]
        self.last = nnx.Linear(math.prod(left) * channels[-1], 1, rngs=rngs)

    def __call__(self, picture: Annotated[Numbers, "rows columns"]) -> Float[Array, ""]:
        """The energy, a scalar; the last layer is linear. Raises ValueError for a picture of another shape."""
        hidden = as_float("picture", picture, self.shape)[..., None]
        for layer in self.layers:
            hidden = self.activation(_halved(layer, hidden))
        return self.last(hidden.ravel())[0]


def _halved(layer: nnx.Conv, picture: Float[Array, "rows columns in"]) -> Float[Array, "half_rows half_columns out"]:
    """A 3 × 3 convolution of stride 2, computed as one matrix product of all patches.

    Inside a loop on CPU, such as a Langevin chain, XLA does not use its fast kernels for convolutions; there this takes
    a fifth of the time of `nnx.Conv`.
    """
    sizes = picture.shape[:2]
    halves = [-(-size // 2) for size in sizes]
    missing = [2 * half + 1 - size for half, size in zip(halves, sizes, strict=True)]
    # the padding of "SAME": if it is odd, the larger part is at the end
    padded = jnp.pad(picture, [*((width // 2, width - width // 2) for width in missing), (0, 0)])
    shifted = lambda i, j: padded[i : i + 2 * halves[0] - 1 : 2, j : j + 2 * halves[1] - 1 : 2]
    patches = jnp.concatenate([shifted(i, j) for i in range(3) for j in range(3)], axis=-1)
    kernel = jnp.asarray(layer.kernel)
    return patches @ kernel.reshape(-1, kernel.shape[-1]) + jnp.asarray(layer.bias)[None, None]
