"""Learning the kernels of convolutional sparse coding, alone or together with an encoder that guesses the maps.

Codes first, with the kernels held; then a step of an optimizer on the kernels, with the codes held; then unit norms.
`solve(params, regularizer, y, start) -> Solution` finds the code of one picture: `convolutional.admm`, or any other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, check_count, check_not_negative, is_static
from ebmjax.energies.convolutional_encoder import Encoder, encode, init_encoder, near_prediction
from ebmjax.energies.convolutional_sparse_coding import Params, Reconstruction, misfit, normalized, periodic
from ebmjax.energies.regularizers import Regularizer
from ebmjax.types import Learner, Scalar, Solution

Solve = Callable[[Params, Regularizer, Any, Any], Solution]
"""`solve(params, regularizer, y, start)`; a start of None is the solver's own."""


class State(NamedTuple):
    """Parameters, the optimizer's memory, and for how many updates in a row each kernel has stood nowhere."""

    params: Any
    optimizer: Any
    idle: Int[Array, " filters"]


class Metrics(NamedTuple):
    """Of the batch, with the parameters before the update."""

    energy: Float[Array, ""]  # mean of E(y, z), with the encoder's term where there is one
    density: Float[Array, ""]  # mean fraction of coefficients that are not zero
    replaced: Int[Array, ""]  # kernels that were replaced
    encoder: Float[Array, ""]  # mean of ½α‖z - Enc(y)‖²; 0 without an encoder


class Coder(NamedTuple):
    """A decoder and the encoder that learns to foresee its codes."""

    decoder: Params
    encoder: Encoder


def init_coder(params: Params) -> Coder:
    """A decoder with the encoder that has its kernels, and gains of 1.

    >>> coder = init_coder(Params(jnp.ones((4, 9, 9))))
    >>> coder.encoder.kernels.shape
    (4, 9, 9)
    """
    return Coder(params, init_encoder(params))


def convolutional(
    solve: Solve,
    regularizer: Regularizer,
    optimizer: optax.GradientTransformation,
    reconstruction: Reconstruction = periodic,
    patience: int = 10,
) -> Learner:
    """Kernels that code pictures sparsely: params are `Params`, a batch is pictures with a leading axis.

    A kernel that stood nowhere for `patience` updates in a row is replaced by a piece of the batch that is badly coded.

    Args:
        solve: finds the code of a picture, such as `convolutional.admm`, its limits bound by `functools.partial`.
        regularizer: of the code.
        optimizer: any of optax, for the mean over the batch of the misfit.
        reconstruction: `periodic` or `valid`, as the solver's.
        patience: updates, at least 1.

    Raises:
        ValueError: patience below 1.

    Zeiler et al. (2010); dead kernels as Mairal et al. (2009) treat dead atoms.

    >>> from functools import partial
    >>> from ebmjax.energies import convolutional_sparse_coding as coding
    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.convolutional import admm
    >>> learner = convolutional(partial(admm, max_steps=20), l1(0.1), optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, coding.init(key, 2, (3, 3))), jnp.ones((2, 8, 8)))
    >>> state.params.kernels.shape, int(metrics.replaced)
    ((2, 3, 3), 0)
    """

    def find(params, y):
        return solve(params, regularizer, y, None)

    def loss(params, y, z):
        return misfit(params, y, z, reconstruction), jnp.zeros((), y.dtype)

    return _learner(
        find, loss, optimizer, reconstruction, patience, lambda params: params, lambda params, decoder, dead: decoder
    )


def predictive(
    solve: Solve,
    regularizer: Regularizer,
    weight: Scalar,
    optimizer: optax.GradientTransformation,
    nonlinearity: Callable[[Any], Any] = jnp.tanh,
    reconstruction: Reconstruction = periodic,
    patience: int = 10,
) -> Learner:
    """Kernels and an encoder at once: predictive sparse decomposition; params are a `Coder`.

        E(y, z) + ½α‖z - Enc(y)‖²

    The code is searched from Enc(y), held near it by the last term; then a step lowers the misfit by the decoder, and
    the last term by the encoder. Encoder kernels and gains are free in size; those of a kernel that is replaced begin
    anew, as `init_encoder` has them.

    Args:
        weight: α, above 0, in units of energy over the code squared; it may be traced.
        nonlinearity: φ of the encoder, such as `jnp.tanh` or a `shrink` with its threshold.
        solve, regularizer, optimizer, reconstruction, patience: as those of `convolutional`.

    Raises:
        ValueError: a static weight that is not above 0, patience below 1.

    Kavukcuoglu, Ranzato & LeCun (2008); Kavukcuoglu et al. (2010).

    >>> from functools import partial
    >>> from ebmjax.energies import convolutional_sparse_coding as coding
    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.convolutional import admm
    >>> learner = predictive(partial(admm, max_steps=20), l1(0.1), 1.0, optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> start = init_coder(coding.init(key, 2, (3, 3)))
    >>> state, metrics = learner.update(key, learner.init(key, start), jnp.ones((2, 8, 8)))
    >>> state.params.decoder.kernels.shape, bool(metrics.encoder > 0)
    ((2, 3, 3), True)
    """
    check_not_negative("weight", weight)
    if is_static(weight) and float(weight) == 0:
        raise ArgumentError("weight: got 0.0, wanted a number above 0")

    def find(coder, y):
        guess = encode(coder.encoder, y, nonlinearity, reconstruction)
        return solve(coder.decoder, near_prediction(regularizer, guess, weight), y, guess)

    def loss(coder, y, z):
        guess = encode(coder.encoder, y, nonlinearity, reconstruction)
        return misfit(coder.decoder, y, z, reconstruction), weight * jnp.sum(jnp.square(z - guess)) / 2

    def replace(coder, decoder, dead):
        fresh = init_encoder(decoder)
        return Coder(decoder, jax.tree.map(lambda new, old: _where(dead, new, old), fresh, coder.encoder))

    return _learner(find, loss, optimizer, reconstruction, patience, lambda coder: coder.decoder, replace)


def _learner(find, loss, optimizer, reconstruction, patience, decoder, replace):
    """The update both share; `decoder(params)` and `replace(params, decoder, dead) -> params` tell them apart."""
    check_count("patience", patience)

    def init(key: Key[Array, ""], params: Any) -> State:
        return State(params, optimizer.init(params), jnp.zeros(len(decoder(params).kernels), jnp.int32))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        codes = jax.vmap(find, in_axes=(None, 0))(state.params, batch)

        def mean_loss(params):
            misfits, predictions = jax.vmap(loss, in_axes=(None, 0, 0))(params, batch, codes.value)
            return jnp.mean(misfits + predictions), jnp.mean(predictions)

        slope, prediction = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, memory = optimizer.update(slope, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        used = jnp.any(codes.value != 0, axis=(0, 2, 3))
        idle = jnp.where(used, 0, state.idle + 1)
        residual = batch - jax.vmap(reconstruction, in_axes=(None, 0))(decoder(state.params), codes.value)
        pieces = _badly_coded(key, residual, decoder(params).kernels.shape)
        # a batch that is coded without a rest has nothing to give
        dead = (idle >= patience) & jnp.any(pieces != 0, axis=tuple(range(1, pieces.ndim)))
        kernels = normalized(Params(_where(dead, pieces, decoder(params).kernels)))
        density = jnp.mean(jnp.where(codes.value != 0, jnp.ones((), batch.dtype), 0))
        metrics = Metrics(jnp.mean(codes.energy), density, jnp.sum(dead), prediction)
        return State(replace(params, kernels, dead), memory, jnp.where(dead, 0, idle)), metrics

    return Learner(init, update)


def _badly_coded(key, residual, shape):
    """Pieces of kernel size, drawn from the residuals of the pictures; the more energy about a pixel, the likelier."""
    filters, rows, columns = shape[:3]
    height, width = residual.shape[1:3]
    square = jnp.square(residual)
    power = square if residual.ndim == 3 else jnp.sum(square, axis=-1)
    inside = power[:, : height - rows + 1, : width - columns + 1]
    tiny = jnp.finfo(power.dtype).tiny
    drawn = jax.random.categorical(key, jnp.log(inside + tiny).reshape(-1), shape=(filters,))
    which, row, column = jnp.unravel_index(drawn, inside.shape)

    def piece(which, row, column):
        corner = (which, row, column, *(jnp.zeros_like(row) for _ in shape[3:]))
        return jax.lax.dynamic_slice(residual, corner, (1, rows, columns, *shape[3:]))[0]

    return jax.vmap(piece)(which, row, column)


def _where(dead, new, old):
    return jnp.where(dead.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
