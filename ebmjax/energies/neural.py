"""An energy that is a network: a flexible function of y, whose minima are all learned from data.

    E(y) = network(y),    a scalar, smooth where the activation is

The law p(y) = exp(-beta E(y))/Z needs a finite Z. A network does not guarantee one on an unbounded space: far from the
origin a dense network is nearly linear, and in some directions it may decrease without a bound. Z is finite

- on a bounded set, such as a grid or a box that a sampler does not leave;
- with a confining term that grows faster than linearly, `penalties.regularized(E, penalties.squared_norm, weight)` with
  a weight above 0: then the law has Gaussian tails, and Langevin chains return from every point.

`networks.spectrally_normalized(params)` bounds the slope of a network, by a Lipschitz constant of about one per layer.
"""

from collections.abc import Sequence
from typing import Annotated

import jax
from jaxtyping import Array, Key

from ebmjax import networks
from ebmjax.checks import as_float, check_callable, check_key
from ebmjax.types import Numbers, Scalar

Params = networks.MLP
"""A dense network of one output."""

ConvolutionalParams = networks.ScalarConvolution
"""A convolutional network of one output."""


def init(
    key: Key[Array, ""],
    sizes: Sequence[int] = (2, 128, 128),
    activation: networks.Activation = jax.nn.silu,
) -> Params:
    """A dense network y ↦ E(y) with random weights.

    Args:
        key: typed random key.
        sizes: (observed, hidden…), at least one size, each at least 1; the one output is added.
        activation: smooth, so that the gradient in y is continuous, which Langevin steps and score matching need.

    Raises:
        ValueError: no size, or one below 1.

    >>> energy(init(jax.random.key(0), (3, 8)), jax.numpy.ones(3)).shape
    ()
    """
    check_key("key", key)
    return networks.MLP(key, (*sizes, 1), activation)


def energy(params: Params, y: Annotated[Numbers, "..."]) -> Scalar:
    """E(y) of one y of shape (observed,), a scalar. Raises ValueError for another shape.

    >>> params = init(jax.random.key(0))
    >>> jax.grad(energy, argnums=1)(params, jax.numpy.ones(2)).shape
    (2,)
    """
    check_callable("params", params)
    return params(as_float("y", y, (params.layers[0].in_features,)))[0]


def init_convolutional(
    key: Key[Array, ""],
    shape: tuple[int, int] = (28, 28),
    channels: Sequence[int] = (16, 32, 64),
    activation: networks.Activation = jax.nn.silu,
) -> ConvolutionalParams:
    """A convolutional network of one picture, y ↦ E(y), with random weights.

    Args:
        key: typed random key.
        shape: (rows, columns) of a picture.
        channels: output channels of each convolution, at least one; each halves rows and columns.
        activation: smooth, as for `init`.

    Raises:
        ValueError: no channels, a number of channels below 1, or a picture that is too small for so many halvings.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), (4,))
    >>> convolutional_energy(params, jax.numpy.ones((8, 8))).shape
    ()
    """
    check_key("key", key)
    return networks.ScalarConvolution(key, shape, channels, activation)


def convolutional_energy(params: ConvolutionalParams, y: Annotated[Numbers, "..."]) -> Scalar:
    """E(y) of one picture of shape (rows, columns), a scalar.

    Raises ValueError for another shape than the network was made for.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), (4,))
    >>> jax.grad(convolutional_energy, argnums=1)(params, jax.numpy.ones((8, 8))).shape
    (8, 8)
    """
    check_callable("params", params)
    return params(as_float("y", y, params.shape))
