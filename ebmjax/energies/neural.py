"""An energy that is a network: it can take any shape, and says nothing about where it is low until it has learned.

    E(y) = network(y),    a scalar, smooth where the activation is

p(y) = exp(-beta E(y))/Z needs a finite Z, and over all of space a network does not promise one: a dense network is
linear far out, so that it falls for ever in some direction. Z is finite

- on a bounded set, such as a grid or a box that a sampler does not leave;
- with a confining term that grows faster than any line, `composition.regularized(E, squared_norm, weight)` with a
  weight above 0: then the law has Gaussian tails, and Langevin chains come back from anywhere.

`networks.spectrally_normalized(params)` bounds how steep a network is, by a Lipschitz constant of about one a layer.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.checks import check_shape
from ebmjax.types import Scalar

Params = networks.MLP
"""A dense network of one output."""

ConvolutionalParams = networks.ScalarConvolution
"""A convolutional network of one output."""


def init(
    key: Key[Array, ""],
    sizes: Sequence[int] = (2, 128, 128),
    activation: Callable[[Array], Array] = jax.nn.silu,
) -> Params:
    """A dense network y ↦ E(y) with random weights.

    Args:
        key: typed random key.
        sizes: (observed, hidden…), each at least 1; the one output is added.
        activation: smooth, so that the gradient in y, which Langevin's steps and score matching use, is continuous.

    Raises:
        ValueError: no size, or one below 1.

    >>> energy(init(jax.random.key(0), (3, 8)), jax.numpy.ones(3)).shape
    ()
    """
    return networks.MLP(key, (*sizes, 1), activation)


def energy(params: Params, y: Float[Array | np.ndarray, "..."]) -> Scalar:
    """E(y) of one y, shape (observed,), in units of the energy. Raises ValueError for another shape.

    >>> params = init(jax.random.key(0))
    >>> jax.grad(energy, argnums=1)(params, jax.numpy.ones(2)).shape
    (2,)
    """
    check_shape("y", y, (params.layers[0].in_features,))
    return params(jax.numpy.asarray(y))[0]


def init_convolutional(
    key: Key[Array, ""],
    shape: tuple[int, int] = (28, 28),
    channels: Sequence[int] = (16, 32, 64),
    activation: Callable[[Array], Array] = jax.nn.silu,
) -> ConvolutionalParams:
    """A convolutional network of one picture with random weights.

    Args:
        key: typed random key.
        shape: (rows, columns) of a picture.
        channels: output channels of each convolution, at least one; each halves rows and columns.
        activation: smooth, as for `init`.

    Raises:
        ValueError: no channels, a size below 1, or a picture that is too small for so many halvings.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), (4,))
    >>> convolutional_energy(params, jax.numpy.ones((8, 8))).shape
    ()
    """
    return networks.ScalarConvolution(key, shape, channels, activation)


def convolutional_energy(params: ConvolutionalParams, y: Float[Array | np.ndarray, "..."]) -> Scalar:
    """E(y) of one picture (rows, columns). Raises ValueError for another shape than the network was made for.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), (4,))
    >>> jax.grad(convolutional_energy, argnums=1)(params, jax.numpy.ones((8, 8))).shape
    (8, 8)
    """
    check_shape("y", y, params.shape)
    return params(jax.numpy.asarray(y))
