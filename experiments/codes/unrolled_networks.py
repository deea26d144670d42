"""The standard problem of learned sparse inference, classical iterations to compare with, and training.

Every way of inference is `y -> codes after each step`, for one observation.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1, shrink
from ebmjax.learn.layerwise import from_layer_before, layerwise
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import SampleLoss
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.unrolled import hyperlista, lista
from ebmjax.minimize.unrolled.alista import Alista, alista

Infer = Callable[[Any, Any], Any]
"""`infer(weights, y) -> Codes`."""


class Samples(NamedTuple):
    """Observations and the codes that made them, or that are to be found."""

    observations: Float[Array, "samples observed"]
    codes: Float[Array, "samples atoms"]


class Schedule(NamedTuple):
    """Of layer-wise training: samples an update, updates a phase, Adam's rate, and the depths of the stages."""

    batch: int
    updates: int
    rate: float
    depths: tuple[int, ...]


@partial(jax.jit, static_argnums=2)
def draw(
    key: Key[Array, ""], params: sparse_coding.Params, samples: int, density: float, noise_db: float = np.inf
) -> Samples:
    """Codes whose entries are normal with probability `density` and else zero, observed as y = Wz + noise.

    Args:
        noise_db: 10 log₁₀ of the mean of ‖Wz‖² over that of ‖noise‖²; inf for none.
    """
    support_key, value_key, noise_key = jax.random.split(key, 3)
    shape = (samples, params.dictionary.shape[1])
    codes = jnp.where(jax.random.bernoulli(support_key, density, shape), jax.random.normal(value_key, shape), 0.0)
    clean = codes @ params.dictionary.T
    scale = jnp.sqrt(jnp.mean(clean**2)) * 10 ** (-noise_db / 20)
    return Samples(clean + scale * jax.random.normal(noise_key, clean.shape), codes)


def nmse_db(
    found: Float[Array, "samples *steps atoms"], codes: Float[Array, "samples atoms"]
) -> Float[Array, "*steps"]:
    """10 log₁₀ (E‖found - z‖² / E‖z‖²), for every step where there are several."""
    truth = codes.reshape(len(codes), *(1,) * (found.ndim - 2), -1)
    error = jnp.mean(jnp.sum((found - truth) ** 2, axis=-1), axis=0)
    return 10 * jnp.log10(error / jnp.mean(jnp.sum(codes**2, axis=-1)))


def ista(params: sparse_coding.Params, weight: Any, bound: Any, layers: int) -> Callable[[Any], Any]:
    """ISTA: LISTA as it is before training."""
    weights = lista.init_coupled(params, weight, bound)
    return lambda y: lista.coupled(params, weights, y, layers).every


def fista(params: sparse_coding.Params, weight: Any, bound: Any, layers: int) -> Callable[[Any], Any]:
    """FISTA, with the code after each of its steps."""
    weights = lista.init_coupled(params, weight, bound)

    def steps(y: Float[Array, " observed"]) -> Float[Array, "layers atoms"]:
        def step(carry, _):
            z, point, momentum = carry
            after = shrink(point + weights.encoder.T @ (y - params.dictionary @ point), weights.threshold)
            larger = 0.5 + jnp.sqrt(0.25 + momentum**2)
            return (after, after + (momentum - 1) / larger * (after - z), larger), after

        zeros = jnp.zeros(params.dictionary.shape[1])
        return jax.lax.scan(step, (zeros, zeros, jnp.array(1.0)), None, length=layers)[1]

    return steps


def coordinates(params: sparse_coding.Params, weight: Any, layers: int) -> Callable[[Any], Any]:
    """Coordinate descent; a step is a sweep over all coefficients, in order, which costs about as much as one of ISTA.

    `ebmjax.minimize.codes.coordinate` is the fast one, whose rounds are not sweeps.
    """
    gram = params.dictionary.T @ params.dictionary
    atoms = len(gram)

    def steps(y: Float[Array, " observed"]) -> Float[Array, "layers atoms"]:
        def update(carry, atom):
            z, correlation = carry
            after = shrink(z[atom] + correlation[atom], weight)
            return (z.at[atom].set(after), correlation - (after - z[atom]) * gram[atom]), None

        def sweep(carry, _):
            carry, _ = jax.lax.scan(update, carry, jnp.arange(atoms))
            return carry, carry[0]

        return jax.lax.scan(sweep, (jnp.zeros(atoms), params.dictionary.T @ y), None, length=layers)[1]

    return steps


def exact(params: sparse_coding.Params, weight: float, observations: Array) -> Array:
    """Codes of least energy, to a part of 1e-5 of it."""
    bound = sparse_coding.lipschitz(params)
    zeros = jnp.zeros(params.dictionary.shape[1])
    one = lambda y: (
        proximal.fista_restarted(
            partial(sparse_coding.misfit, params, y), l1(weight), zeros, bound, max_steps=2000, tolerance=1e-5
        ).value
    )
    return jax.jit(jax.vmap(one))(observations)


def best_weight(steps: Callable[[Any], Callable[[Any], Any]], data: Samples) -> float:
    """The λ, of eight from 0.005 to 0.3, with the least error after the last step: `steps(weight)` infers with λ."""
    weights = np.geomspace(0.005, 0.3, 8, dtype=np.float32)
    last = lambda weight: jax.vmap(lambda y: steps(weight)(y)[-1])(data.observations)
    errors = jax.jit(lambda weights: jax.lax.map(lambda weight: nmse_db(last(weight), data.codes), weights))(weights)
    return float(weights[np.argmin(errors)])


def fit(
    key: Key[Array, ""], sample_loss: SampleLoss, weights: Any, data: Any, schedule: Schedule, copied: bool = True
) -> Any:
    """Train stage by stage.

    Args:
        sample_loss: `sample_loss(weights, sample)`, above 0, for weights of any number of layers.
        weights: a leading axis of layers everywhere.
        data: samples, along a leading axis.
        copied: whether a new layer starts as a copy of the one before it, or as it stands.
    """
    mean_loss = energy_loss(sample_loss)
    # a loss that falls over decades: in logarithms its slopes stay of one size
    loss = lambda weights, batch: jnp.log(mean_loss(weights, batch))
    size = min(schedule.batch, len(jax.tree.leaves(data)[0]))
    batches = min(len(jax.tree.leaves(data)[0]) // size, schedule.updates)
    used = jax.tree.map(lambda leaf: leaf[: batches * size], data)
    return layerwise(
        key,
        loss,
        lambda scale: optax.adam(schedule.rate * scale),
        weights,
        used,
        size,
        epochs=-(-schedule.updates // batches),
        init_layer=from_layer_before if copied else None,
        depths=schedule.depths,
    )[0]


def on_codes(infer: Infer) -> SampleLoss:
    """The loss of samples (y, code): half the squared distance from the code."""
    return inferred_codes.supervised(lambda weights, y: infer(weights, y).last)


def geometric(start: Any, ratio: Any, layers: int) -> Alista:
    """Steps of one and thresholds start · ratioᵏ, as logarithms: rates of learning are then relative."""
    return Alista(jnp.zeros(layers), jnp.log(start) + jnp.log(ratio) * jnp.arange(layers))


def growing(rate: Any, limit: Any, atoms: int, layers: int) -> Int[Array, " layers"]:
    """`support.growing_support` of parts that may be traced."""
    return (atoms * jnp.minimum(rate * jnp.arange(1.0, layers + 1), limit)).astype(jnp.int32)


def infer_alista(params: sparse_coding.Params, analytic: Array, support: Array | None) -> Infer:
    """ALISTA of as many layers as the weights have, which are logarithms."""

    def infer(weights: Alista, y: Float[Array, " observed"]) -> Any:
        chosen = None if support is None else support[: len(weights.step_size)]
        return alista(params, analytic, jax.tree.map(jnp.exp, weights), y, support=chosen)

    return infer


def search(
    key: Key[Array, ""],
    infer: Callable[[Any, Any], Any],
    low: tuple,
    high: tuple,
    data: Samples,
    tries: int,
    begin: tuple | None = None,
) -> tuple[Float[Array, " numbers"], float]:
    """Positive numbers with the least error: tried at random between bounds, then four times nearer to the best so far.

    Args:
        infer: `infer(numbers, y) -> code`.
        low, high: the bounds of each number; trials are uniform in the logarithm.
        tries: trials in each of five rounds.
        begin: numbers that were good elsewhere; the first round is around them.

    Returns:
        The numbers and their error in dB.
    """

    @jax.jit
    def errors(numbers):
        every = lambda one: jax.vmap(lambda y: infer(one, y))(data.observations)
        return jax.lax.map(lambda one: nmse_db(every(one), data.codes), numbers)

    bottom, top = jnp.log(jnp.array(low)), jnp.log(jnp.array(high))
    best, least = (bottom + top) / 2, np.inf
    if begin is not None:
        best = jnp.log(jnp.array(begin))
        least = float(np.nan_to_num(np.asarray(errors(jnp.exp(best)[None])), nan=np.inf)[0])
    for round_key, width in zip(jax.random.split(key, 5), 0.45 ** np.arange(5), strict=True):
        shift = jax.random.uniform(round_key, (tries, len(low)), minval=-0.5, maxval=0.5) * width * (top - bottom)[None]
        found = np.nan_to_num(np.asarray(errors(jnp.exp(best[None] + shift))), nan=np.inf)
        if found.min() < least:
            best, least = best + shift[np.argmin(found)], float(found.min())
    return jnp.exp(best), least


def search_alista(
    key: Key[Array, ""],
    params: sparse_coding.Params,
    analytic: Array,
    data: Samples,
    layers: int,
    tries: int,
    select: bool,
) -> tuple[Alista, Array | None]:
    """Weights that are not trained, and the numbers of selected entries: two or four numbers, found by `search`."""
    atoms = params.dictionary.shape[1]
    support = lambda numbers: growing(numbers[2], numbers[3], atoms, layers) if select else None

    def infer(numbers: Array, y: Array) -> Any:
        return infer_alista(params, analytic, support(numbers))(geometric(numbers[0], numbers[1], layers), y).last

    low, high = ((0.3, 0.6, 0.005, 0.05), (2.0, 0.95, 0.04, 0.3))
    count = 4 if select else 2
    numbers, _ = search(key, infer, low[:count], high[:count], data, tries)
    return geometric(numbers[0], numbers[1], layers), support(numbers)


def search_hyperlista(
    key: Key[Array, ""],
    prepared: hyperlista.Prepared,
    data: Samples,
    layers: int,
    tries: int,
    begin: hyperlista.HyperLista | None = None,
) -> hyperlista.HyperLista:
    """The three numbers of HyperLISTA; `begin` are some that were good for other data."""
    infer = lambda numbers, y: hyperlista.hyperlista(prepared, hyperlista.HyperLista(*numbers), y, layers).last
    numbers, _ = search(key, infer, (0.02, 2e-3, 10.0), (0.3, 0.06, 300.0), data, tries, begin)
    return hyperlista.HyperLista(*numbers)
