"""Learn the kernels of convolutional sparse coding, alone or together with an encoder that predicts the codes.

Every update has three parts: it finds the codes of a batch for the present kernels, takes a step of an optimizer on the
kernels for these codes, and scales the kernels to unit norm.

The code of one picture is found by any `ebmjax.minimize.codes.find_code.FindCode`, such as `convolutional_admm`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, as_float, as_floats, check_callable, check_count, check_positive
from ebmjax.compiled import compiled
from ebmjax.energies.convolutional_encoder import Encoder, encode, init_encoder, near_prediction
from ebmjax.energies.convolutional_sparse_coding import (
    Params,
    Reconstruction,
    as_params,
    check_picture,
    misfit,
    normalized,
    periodic,
)
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.learn.dictionaries.dead_atoms import count_idle, residual_pieces, where_dead
from ebmjax.minimize.codes.find_code import FindCode
from ebmjax.networks import Activation
from ebmjax.optimizers import as_optimizer, updates_of
from ebmjax.records import record
from ebmjax.types import Learner, Scalar


@record
class State(NamedTuple):
    """What the learning of kernels remembers."""

    params: Any
    """`Params`, or a `Coder` where there is an encoder."""
    optimizer: optax.OptState
    idle: Int[Array, " filters"]
    """For how many updates in a row no code has used each kernel."""


@record
class Metrics(NamedTuple):
    """Of the batch, with the parameters before the update."""

    energy: Float[Array, ""]
    """Mean of E(y, z), with the encoder's term where there is one."""
    density: Float[Array, ""]
    """Fraction of the coefficients that are not zero."""
    replaced: Int[Array, ""]
    """Number of kernels that were replaced after the update."""
    encoder: Float[Array, ""]
    """Mean of ½α‖z - Enc(y)‖²; 0 without an encoder."""


@record
class Coder(NamedTuple):
    """A decoder and the encoder that learns to predict its codes."""

    decoder: Params
    encoder: Encoder


def init_coder(params: Params) -> Coder:
    """A decoder with an encoder that has the same kernels, and gains of 1.

    >>> coder = init_coder(Params(jnp.ones((4, 9, 9))))
    >>> coder.encoder.kernels.shape
    (4, 9, 9)
    """
    return Coder(params, init_encoder(params))


def convolutional(
    find: FindCode,
    regularizer: Regularizer,
    optimizer: optax.GradientTransformation,
    reconstruction: Reconstruction = periodic,
    patience: int = 10,
) -> Learner:
    """Learn kernels that code pictures sparsely: params are `Params`, a batch is pictures with a leading axis.

    A kernel that no code has used for `patience` updates in a row is replaced by a badly coded piece of the batch.

    Args:
        find: finds the code of a picture, such as `partial(convolutional_admm, max_steps=20)`.
        regularizer: of the code.
        optimizer: any of optax, for the mean over the batch of the misfit.
        reconstruction: `periodic` or `valid`, as the solver's.
        patience: updates, at least 1.

    Raises:
        ValueError: patience below 1.

    Zeiler, Krishnan, Taylor, Fergus (2010), "Deconvolutional networks"; for dead kernels, Mairal et al. (2009), "Online
    dictionary learning for sparse coding", section 3.4.

    >>> from functools import partial
    >>> from ebmjax.energies import convolutional_sparse_coding as coding
    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.convolutional import convolutional_admm
    >>> learner = convolutional(partial(convolutional_admm, max_steps=20), l1(0.1), optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, coding.init(key, 2, (3, 3))), jnp.ones((2, 8, 8)))
    >>> state.params.kernels.shape, int(metrics.replaced)
    ((2, 3, 3), 0)
    """

    check_callable("find", find)
    check_regularizer(regularizer)

    def code(params, y):
        return find(params, regularizer, y, None)

    def loss(params, y, z):
        return misfit(params, y, z, reconstruction), jnp.zeros((), y.dtype)

    return _learner(
        code, loss, optimizer, reconstruction, patience, lambda params: params, lambda params, decoder, dead: decoder
    )


def predictive(
    find: FindCode,
    regularizer: Regularizer,
    weight: Scalar,
    optimizer: optax.GradientTransformation,
    nonlinearity: Activation = jnp.tanh,
    reconstruction: Reconstruction = periodic,
    patience: int = 10,
) -> Learner:
    """Predictive sparse decomposition: learn kernels and an encoder together; params are a `Coder`.

        E(y, z) + ½α‖z - Enc(y)‖²

    The code minimizes this energy, from the start Enc(y). Then one step lowers the misfit in the decoder and the last
    term in the encoder. The kernels and gains of the encoder may have any size. Where a kernel is replaced, those of
    its encoder start again from `init_encoder`.

    Args:
        weight: α, above 0, in units of energy over the code squared; it may be traced.
        nonlinearity: φ of the encoder, such as `jnp.tanh` or `shrink` with a threshold.
        find, regularizer, optimizer, reconstruction, patience: as in `convolutional`.

    Raises:
        ValueError: a static weight that is not positive and finite, patience below 1.

    Kavukcuoglu, Ranzato, LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
    recognition"; Kavukcuoglu et al. (2010), "Learning convolutional feature hierarchies for visual recognition".

    >>> from functools import partial
    >>> from ebmjax.energies import convolutional_sparse_coding as coding
    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.convolutional import convolutional_admm
    >>> learner = predictive(partial(convolutional_admm, max_steps=20), l1(0.1), 1.0, optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> start = init_coder(coding.init(key, 2, (3, 3)))
    >>> state, metrics = learner.update(key, learner.init(key, start), jnp.ones((2, 8, 8)))
    >>> state.params.decoder.kernels.shape, bool(metrics.encoder > 0)
    ((2, 3, 3), True)
    """
    check_callable("find", find)
    check_regularizer(regularizer)
    check_positive("weight", weight)
    weight = as_float("weight", weight, ())

    def code(coder, y):
        guess = encode(coder.encoder, y, nonlinearity, reconstruction)
        return find(coder.decoder, near_prediction(regularizer, guess, weight), y, guess)

    def loss(coder, y, z):
        guess = encode(coder.encoder, y, nonlinearity, reconstruction)
        return misfit(coder.decoder, y, z, reconstruction), weight.astype(z.dtype) * jnp.sum(jnp.square(z - guess)) / 2

    def replace(coder, decoder, dead):
        fresh = init_encoder(decoder)
        return Coder(decoder, jax.tree.map(partial(where_dead, dead), fresh, coder.encoder))

    return _learner(code, loss, optimizer, reconstruction, patience, lambda coder: coder.decoder, replace)


def _learner(code, loss, optimizer, reconstruction, patience, decoder, replace):
    """The learner of both; they differ in `decoder(params)` and `replace(params, decoder, dead) -> params`."""
    check_count("patience", patience)
    optimizer = as_optimizer(optimizer)

    def init(key: Key[Array, ""], params: Any) -> State:
        params = as_floats("params", params)
        return State(params, optimizer.init(params), jnp.zeros(len(as_params(decoder(params)).kernels), jnp.int32))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        batch = as_float("data", batch)
        kernels = as_params(decoder(state.params))
        if batch.ndim != kernels.kernels.ndim or not len(batch):
            raise ArgumentError(f"data: got batches of shape {batch.shape}, wanted pictures along a leading axis")
        check_picture(kernels, batch[0])
        return _learn(code, loss, optimizer, reconstruction, patience, decoder, replace, key, state, batch)

    return Learner(init, update)


@compiled
def _learn(code, loss, optimizer, reconstruction, patience, decoder, replace, key, state, batch):
    codes = jax.vmap(code, in_axes=(None, 0))(state.params, batch)

    def mean_loss(params):
        misfits, predictions = jax.vmap(loss, in_axes=(None, 0, 0))(params, batch, codes.value)
        return jnp.mean(misfits + predictions), jnp.mean(predictions)

    (value, prediction), slope = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    function = lambda params: mean_loss(params)[0]
    updates, memory = updates_of(optimizer, function, state.params, value, slope, state.optimizer)
    params = optax.apply_updates(state.params, updates)
    used = jnp.any(codes.value != 0, axis=(0, 2, 3))
    idle = count_idle(state.idle, used)
    residual = batch - jax.vmap(reconstruction, in_axes=(None, 0))(decoder(state.params), codes.value)
    pieces = residual_pieces(key, residual, decoder(params).kernels.shape)
    # a residual of zero has no piece that could replace a kernel
    dead = (idle >= patience) & jnp.any(pieces != 0, axis=tuple(range(1, pieces.ndim)))
    kernels = normalized(Params(where_dead(dead, pieces, decoder(params).kernels)))
    density = jnp.mean(jnp.where(codes.value != 0, jnp.ones((), batch.dtype), 0))
    metrics = Metrics(jnp.mean(codes.energy), density, jnp.sum(dead), prediction)
    return State(replace(params, kernels, dead), memory, jnp.where(dead, 0, idle)), metrics
