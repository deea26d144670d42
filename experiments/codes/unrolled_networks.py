"""Part of the experiment `lista`: the standard problem, the classical iterations, and the training of networks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1, shrink
from ebmjax.learn.layerwise import JOINT_RATES, from_layer_before, layerwise
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import SampleLoss
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.unrolled import hyperlista, lista
from ebmjax.minimize.unrolled.alista import Alista, alista
from ebmjax.minimize.unrolled.unroll import Codes
from ebmjax.types import Scalar
from experiments.application.report import Report

ROUNDS = 5  # of a search
PHASES = 1 + len(JOINT_RATES)  # of a stage of training


@runtime_checkable
class Infer(Protocol):
    """A network that infers codes, with weights that are learned."""

    def __call__(self, weights: Any, y: Float[Array, " observed"], /) -> Codes:
        """The last code of one observation, and the code after each layer."""
        ...


@runtime_checkable
class Steps(Protocol):
    """A method of inference."""

    def __call__(self, y: Float[Array, " observed"], /) -> Float[Array, "layers atoms"]:
        """The code of one observation after each step."""
        ...


class Tell(Protocol):
    """Hears how far a training is."""

    def __call__(self, done: int, newest: float, /) -> None:
        """Show and record it.

        Args:
            done: parts that are done.
            newest: the newest measurement.
        """
        ...


class Samples(NamedTuple):
    """Observations and their true codes."""

    observations: Float[Array, "samples observed"]
    codes: Float[Array, "samples atoms"]


class Schedule(NamedTuple):
    """The schedule of layer-wise training."""

    batch: int
    """Samples in an update."""
    updates: int
    """Updates in a phase."""
    rate: float
    """Adam's learning rate."""
    depths: tuple[int, ...]
    """Number of layers in each stage."""


@partial(jax.jit, static_argnums=2)
def draw(
    key: Key[Array, ""], params: sparse_coding.Params, samples: int, density: float, noise_db: float = np.inf
) -> Samples:
    """Random codes and their observations y = Wz + noise. Entries are normal with probability `density`, else zero.

    Args:
        key: typed random key.
        params: the dictionary W.
        samples: how many, static.
        density: probability that an entry of a code is not zero.
        noise_db: signal-to-noise ratio in decibels, 10 log₁₀ (E‖Wz‖² / E‖noise‖²); inf for no noise.
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
    """Normalized mean squared error 10 log₁₀ (E‖found - z‖² / E‖z‖²) in decibels, after every step if there are "
    "many."""
    truth = codes.reshape(len(codes), *(1,) * (found.ndim - 2), -1)
    error = jnp.mean(jnp.sum((found - truth) ** 2, axis=-1), axis=0)
    return 10 * jnp.log10(error / jnp.mean(jnp.sum(codes**2, axis=-1)))


def ista(params: sparse_coding.Params, weight: Scalar, bound: Scalar, layers: int) -> Steps:
    """ISTA, which is LISTA before training."""
    weights = lista.init_coupled(params, weight, bound)
    return lambda y: lista.coupled(params, weights, y, layers).every


def fista(params: sparse_coding.Params, weight: Scalar, bound: Scalar, layers: int) -> Steps:
    """FISTA, with the code after each step."""
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


def coordinates(params: sparse_coding.Params, weight: Scalar, layers: int) -> Steps:
    """Coordinate descent. One step is a sweep over all coefficients in order; it costs about as much as a step of ISTA.

    `ebmjax.minimize.codes.coordinate` is faster, but its rounds are not sweeps.
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
    """Codes of least energy, to a relative tolerance of 1e-5."""
    bound = sparse_coding.lipschitz(params)
    zeros = jnp.zeros(params.dictionary.shape[1])
    one = lambda y: (
        proximal.fista_restarted(
            partial(sparse_coding.misfit, params, y), l1(weight), zeros, bound, max_steps=2000, tolerance=1e-5
        ).value
    )
    return jax.jit(jax.vmap(one))(observations)


def best_weight(steps: Callable[[Scalar], Steps], data: Samples) -> float:
    """The λ with the least error after the last step of `steps(λ)`, of eight values from 0.005 to 0.3."""
    weights = np.geomspace(0.005, 0.3, 8, dtype=np.float32)
    last = lambda weight: jax.vmap(lambda y: steps(weight)(y)[-1])(data.observations)
    errors = jax.jit(lambda weights: jax.lax.map(lambda weight: nmse_db(last(weight), data.codes), weights))(weights)
    return float(weights[np.argmin(errors)])


def fit(
    key: Key[Array, ""],
    sample_loss: SampleLoss,
    weights: Any,
    data: Any,
    schedule: Schedule,
    copied: bool = True,
    tell: Tell = lambda done, newest: None,
) -> Any:
    """Train the layers of a network stage by stage, and return their weights.

    Args:
        key: typed random key.
        sample_loss: `sample_loss(weights, sample)`, above 0, for weights of any number of layers.
        weights: of the whole network; every leaf has a leading axis of layers.
        data: samples, along a leading axis.
        schedule: of the training.
        copied: whether a new layer starts as a copy of the trained layer before it, or from its own given weights.
        tell: called after each phase, with the number of phases so far, and the mean loss in its last epoch.
    """
    mean_loss = energy_loss(sample_loss)
    # The loss falls over decades. The gradients of its logarithm keep their size.
    loss = lambda weights, batch: jnp.log(mean_loss(weights, batch))
    size = min(schedule.batch, len(jax.tree.leaves(data)[0]))
    batches = min(len(jax.tree.leaves(data)[0]) // size, schedule.updates)
    phases_of = lambda depth: PHASES * schedule.depths.index(depth)
    return layerwise(
        key,
        loss,
        lambda scale: optax.adam(schedule.rate * scale),
        weights,
        jax.tree.map(lambda leaf: leaf[: batches * size], data),
        size,
        epochs=-(-schedule.updates // batches),
        init_layer=from_layer_before if copied else None,
        depths=schedule.depths,
        tell=lambda depth, phase, last: tell(phases_of(depth) + phase + 1, float(np.exp(np.asarray(last)))),
    )[0]


@contextmanager
def told(report: Report, name: str, parts: dict[str, int]) -> Iterator[dict[str, Tell]]:
    """A bar for a training whose parts have these lengths; each part is told how far it is, and metrics.jsonl too."""
    measured = {"phases": "loss", "rounds": "error_db"}
    with report.bar(f"training {name}", sum(parts.values())) as move:

        def teller(part: str) -> Tell:
            before = 0

            def tell(done: int, newest: float, /) -> None:
                nonlocal before
                report.metrics(training=name, **{part: done, measured[part]: newest})
                move(done - before, f"{measured[part]} {newest:.4g}")
                before = done

            return tell

        yield {part: teller(part) for part in parts}


def on_codes(infer: Infer) -> SampleLoss:
    """The loss of samples (y, code): half the squared distance of the network's last code from the given one."""
    return inferred_codes.supervised(lambda weights, y: infer(weights, y).last)


def geometric(start: Scalar, ratio: Scalar, layers: int) -> Alista:
    """Logarithms of step sizes 1 and of thresholds start · ratioᵏ. A learning rate of logarithms is relative."""
    return Alista(jnp.zeros(layers), jnp.log(start) + jnp.log(ratio) * jnp.arange(layers))


def growing(rate: Scalar, limit: Scalar, atoms: int, layers: int) -> Int[Array, " layers"]:
    """`support.growing_support` for rates and limits that may be traced."""
    return (atoms * jnp.minimum(rate * jnp.arange(1.0, layers + 1), limit)).astype(jnp.int32)


def infer_alista(params: sparse_coding.Params, analytic: Array, support: Array | None) -> Infer:
    """ALISTA whose weights are logarithms, with as many layers as the weights have."""

    def infer(weights: Alista, y: Float[Array, " observed"]) -> Codes:
        chosen = None if support is None else support[: len(weights.step_size)]
        return alista(params, analytic, jax.tree.map(jnp.exp, weights), y, support=chosen)

    return infer


def search(
    key: Key[Array, ""],
    infer: Callable[[Array, Array], Array],
    low: tuple,
    high: tuple,
    data: Samples,
    tries: int,
    begin: tuple | None = None,
    tell: Tell = lambda done, newest: None,
) -> tuple[Float[Array, " numbers"], float]:
    """Random search for the positive numbers with the least error.

    The first of `ROUNDS` rounds tries numbers between bounds. Each later round tries numbers around the best so far, in
    a range that is 0.45 times as wide.

    Args:
        key: typed random key.
        infer: `infer(numbers, y) -> code`.
        low, high: the bounds of each number; trials are uniform in the logarithm.
        data: observations and their true codes.
        tries: trials in each round.
        begin: numbers that were good for other data; the first round is around them.
        tell: called after each round, with the number of rounds so far, and the least error in dB.

    Returns:
        the numbers, and their error in dB.
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
    for done, round_key in enumerate(jax.random.split(key, ROUNDS)):
        width = 0.45**done
        shift = jax.random.uniform(round_key, (tries, len(low)), minval=-0.5, maxval=0.5) * width * (top - bottom)[None]
        found = np.nan_to_num(np.asarray(errors(jnp.exp(best[None] + shift))), nan=np.inf)
        if found.min() < least:
            best, least = best + shift[np.argmin(found)], float(found.min())
        tell(done + 1, least)
    return jnp.exp(best), least


def search_alista(
    key: Key[Array, ""],
    params: sparse_coding.Params,
    analytic: Array,
    data: Samples,
    layers: int,
    tries: int,
    select: bool,
    tell: Tell = lambda done, newest: None,
) -> tuple[Alista, Array | None]:
    """ALISTA's weights, and the numbers of selected entries where `select`: two or four numbers found by `search`."""
    atoms = params.dictionary.shape[1]
    support = lambda numbers: growing(numbers[2], numbers[3], atoms, layers) if select else None

    def infer(numbers: Array, y: Array) -> Array:
        return infer_alista(params, analytic, support(numbers))(geometric(numbers[0], numbers[1], layers), y).last

    low, high = ((0.3, 0.6, 0.005, 0.05), (2.0, 0.95, 0.04, 0.3))
    count = 4 if select else 2
    numbers, _ = search(key, infer, low[:count], high[:count], data, tries, tell=tell)
    return geometric(numbers[0], numbers[1], layers), support(numbers)


def search_hyperlista(
    key: Key[Array, ""],
    prepared: hyperlista.Prepared,
    data: Samples,
    layers: int,
    tries: int,
    begin: hyperlista.HyperLista | None = None,
    tell: Tell = lambda done, newest: None,
) -> hyperlista.HyperLista:
    """The three numbers of HyperLISTA, found by `search`; `begin` are numbers that were good for other data."""
    infer = lambda numbers, y: hyperlista.hyperlista(prepared, hyperlista.HyperLista(*numbers), y, layers).last
    numbers, _ = search(key, infer, (0.02, 2e-3, 10.0), (0.3, 0.06, 300.0), data, tries, begin, tell)
    return hyperlista.HyperLista(*numbers)
