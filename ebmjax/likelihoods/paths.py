"""Paths of laws from one whose log Z is known to a model, and log Z of the model by annealing along them.

    p_t(x) ∝ exp(-u(t, x)),    t from 0, a law of independent unknowns, to 1, the model at its inverse temperature

A `Path` is what `ebmjax.marginalize.annealed` needs: u, a kernel for every t, exact draws of the first law, and its
log Z. Each family of models makes one (`restricted.path`, `deep.path`, `continuous.path`, …).

    forward        log Z from chains that go to the model: a bound from below
    sandwiched     the same, and chains that come back from draws of the model: a bound on each side
    both_ways      the weights of these chains
    chained_ends   draws of the model from long chains, where there are no exact ones
    relative       log p(x) = log of an unnormalized density less log Z, with the errors and bounds of both

Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief networks"; Grosse, Ghahramani & Adams
(2015), "Sandwiching the marginal likelihood using bidirectional Monte Carlo".
"""

from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_params,
    check_count,
    check_finite_beta,
    check_key,
    check_record,
    is_static,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.loops import repeat
from ebmjax.marginalize.annealed import BothWays, ReducedEnergy, annealed, annealed_importance
from ebmjax.marginalize.annealed import both_ways as annealed_both_ways
from ebmjax.marginalize.path_weights import estimate_of_both
from ebmjax.records import record
from ebmjax.sample.units import draw
from ebmjax.states import begun
from ebmjax.temperature import reduced
from ebmjax.types import BITS, CONVERGED, Beta, Estimate, KernelAtBeta, Numbers

M = TypeVar("M")


@runtime_checkable
class Starts(Protocol):
    """Exact draws of the first law of a path."""

    def __call__(self, key: Key[Array, ""], chains: int, /) -> Any:
        """Independent draws, with the leading axis chains."""
        ...


@record
class Path(NamedTuple):
    """The laws on the way from t = 0 to t = 1."""

    reduced_energy: ReducedEnergy
    """u(t, x), a scalar."""
    make_kernel: KernelAtBeta
    """`t -> Kernel`, which leaves exp(-u(t, x))/Z(t) invariant."""
    starts: Starts
    """`(key, chains) ->` draws of the law at t = 0."""
    log_partition: Float[Array, ""]
    """log Z of the law at t = 0."""


def forward(
    key: Key[Array, ""], path: Path, schedule: Annotated[Numbers, "laws"], chains: int, steps: int = 1
) -> Estimate:
    """log Z of the model from chains that begin at the known law: a bound from below.

    Args:
        key: typed random key.
        path: of a family of models, such as `restricted.path`.
        schedule: t of each law on the way, rising from 0 to 1, such as `jnp.linspace(0, 1, 1000)`.
        chains: how many, at least 2.
        steps: of the kernel at each t, static, at least 1.

    Returns:
        `Estimate`, as of `ebmjax.marginalize.annealed.annealed_importance`.

    Raises:
        ValueError: what is no path, a static schedule that does not rise from 0 to 1, fewer than 2 chains, steps below
            1, a key that is not typed.

    >>> from ebmjax.likelihoods import restricted
    >>> params = restricted.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> path = restricted.path(params, 0.5, jnp.zeros(3))
    >>> found = forward(jax.random.key(0), path, jnp.linspace(0, 1, 20), 200)
    >>> bool(abs(found.log_partition - restricted.log_partition(params, 0.5).log_partition) < 0.1)
    True
    """
    key, schedule = _checked(key, path, schedule)
    check_count("chains", chains)
    start_key, key = jax.random.split(key)
    starts = path.starts(start_key, chains)
    return annealed_importance(key, path.reduced_energy, path.make_kernel, schedule, starts, path.log_partition, steps)


def sandwiched(
    key: Key[Array, ""], path: Path, schedule: Annotated[Numbers, "laws"], ends: PyTree[Any], steps: int = 1
) -> Estimate:
    """log Z of the model between bounds: chains that go to it, and as many others that come back from draws of it.

    Args:
        key, path, schedule, steps: as in `forward`.
        ends: independent draws of the model, with the leading axis chains: exact ones, such as `restricted.draws`, or
            else those of `chained_ends`, with which the upper bound may fail.

    Returns:
        `Estimate`, as of `ebmjax.marginalize.annealed.bidirectional`.

    Errors are those of `forward`.

    Grosse, Ghahramani & Adams (2015), section 3.

    >>> from ebmjax.likelihoods import restricted
    >>> params = restricted.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> path, ends = restricted.path(params, 0.5, jnp.zeros(3)), restricted.draws(jax.random.key(1), params, 0.5, 200)
    >>> found = sandwiched(jax.random.key(0), path, jnp.linspace(0, 1, 20), ends)
    >>> bool(abs(found.log_partition - restricted.log_partition(params, 0.5).log_partition) < 0.1)
    True
    """
    weights = both_ways(key, path, schedule, ends, steps)
    return estimate_of_both(weights.forward, weights.back, path.log_partition)


def both_ways(
    key: Key[Array, ""], path: Path, schedule: Annotated[Numbers, "laws"], ends: PyTree[Any], steps: int = 1
) -> BothWays:
    """The weights of the chains of `sandwiched`, for an estimate of each direction alone, by `path_weights`.

    Arguments and errors are those of `sandwiched`.

    >>> from ebmjax.likelihoods import restricted
    >>> from ebmjax.marginalize.path_weights import estimate_of_reverse
    >>> params = restricted.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> path, ends = restricted.path(params, 0.5, jnp.zeros(3)), restricted.draws(jax.random.key(1), params, 0.5, 200)
    >>> weights = both_ways(jax.random.key(0), path, jnp.linspace(0, 1, 20), ends)
    >>> found = estimate_of_reverse(weights.back, path.log_partition)
    >>> bool(abs(found.log_partition - restricted.log_partition(params, 0.5).log_partition) < 0.1)
    True
    """
    key, schedule = _checked(key, path, schedule)
    start_key, key = jax.random.split(key)
    chains = leading_axis("ends", ends)
    if chains < 2:
        raise ArgumentError(f"ends: got {chains} draw, wanted at least 2, for a standard error")
    starts = path.starts(start_key, chains)
    return annealed_both_ways(key, path.reduced_energy, path.make_kernel, schedule, starts, ends, steps)


def chained_ends(
    key: Key[Array, ""], path: Path, schedule: Annotated[Numbers, "laws"], chains: int, steps: int
) -> PyTree[Array]:
    """Draws of the model from long chains, which begin where annealed ones end, chosen in proportion to their weights.

    They are exact only as far as the chains have mixed. Compare runs with several numbers of steps: where these are too
    few, the upper bound of `sandwiched` may be below log Z.

    Args:
        key, path, schedule, chains: as in `forward`.
        steps: of the kernel of the model at the end, static, at least 1.

    Returns:
        draws with the leading axis chains.

    Errors are those of `forward`.

    >>> from ebmjax.likelihoods import restricted
    >>> path = restricted.path(restricted.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), 0.5, jnp.zeros(3))
    >>> chained_ends(jax.random.key(0), path, jnp.linspace(0, 1, 9), 10, 20).shape
    (10, 3)
    """
    key, schedule = _checked(key, path, schedule)
    check_count("chains", chains)
    check_count("steps", steps)
    start_key, anneal_key, choose_key, begin_key, chain_key = jax.random.split(key, 5)
    starts = path.starts(start_key, chains)
    run = annealed(anneal_key, path.reduced_energy, path.make_kernel, schedule, starts)
    rows = jax.random.categorical(choose_key, run.log_weights, shape=(chains,))
    chosen = jax.tree.map(lambda leaf: leaf[rows], run.positions)
    keys = jnp.stack([jax.random.split(begin_key, chains), jax.random.split(chain_key, chains)], axis=1)
    return _chained(keys, path.make_kernel, schedule[-1], chosen, steps)


@compiled
def _chained(keys, make_kernel, last, positions, steps):
    kernel = make_kernel(last)

    def one(keys, position):
        return repeat(keys[1], kernel, begun(keys[0], kernel, position), steps).state.position

    return jax.vmap(one)(keys, positions)


def relative(density: Estimate, log_partition: Estimate) -> Estimate:
    """log p(x) = log p*(x) - log Z from estimates of both, of one x or of many: its error, and bounds on each side.

    Args:
        density: of log p*(x), such as -beta F(x), or a bound of it.
        log_partition: of log Z, a single one.

    Returns:
        `Estimate`. The lower bound is that of log p* less the upper one of log Z, and the reverse. `result` is that of
        log p*, or that of log Z where the former has converged.

    Raises ValueError for what is no `Estimate`.

    >>> from ebmjax.marginalize.enumeration import exact_estimate
    >>> relative(exact_estimate(jnp.array([1.0, 2.0])), exact_estimate(jnp.array(3.0))).log_partition.tolist()
    [-2.0, -1.0]
    """
    check_record("density", density, Estimate)
    check_record("log_partition", log_partition, Estimate)
    first, second = density, log_partition
    return Estimate(
        first.log_partition - second.log_partition,
        jnp.hypot(first.standard_error, second.standard_error),
        jnp.minimum(first.effective_samples, second.effective_samples),
        first.lower - second.upper,
        first.upper - second.lower,
        jnp.where(first.result == CONVERGED, second.result, first.result).astype(jnp.int32),
    )


def base_biases(visible: Annotated[Numbers, "samples visible"], least: float = 0.01) -> Float[Array, " visible"]:
    """Biases of independent units that have the means of the data: where a path of binary units begins.

    Args:
        visible: data of units of {0, 1}, or their means.
        least: a mean is at least so far from 0 and 1, so that no bias is infinite.

    Raises:
        ValueError: data that are no table of numbers.

    Salakhutdinov and Murray (2008), section 4.1: the path from there is shorter than that from biases of 0.

    >>> base_biases(jnp.array([[0.0, 1.0], [1.0, 1.0]])).round().tolist()
    [0.0, 5.0]
    """
    mean = jnp.clip(as_float("visible", visible, (None, None)).mean(axis=0), least, 1 - least)
    return jnp.log(mean) - jnp.log1p(-mean)


def independent(key: Key[Array, ""], biases: Annotated[Numbers, "units"], chains: int) -> Float[Array, "chains units"]:
    """Draws of independent units of {0, 1} with these biases: P(unit = 1) = σ(bias).

    Raises ValueError for a key that is not typed, biases that are no vector of numbers, and fewer than 1 chain.

    >>> independent(jax.random.key(0), jnp.array([-50.0, 50.0]), 2).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    check_count("chains", chains)
    biases = as_float("biases", biases, (None,))
    return draw(key, jnp.broadcast_to(biases, (chains, *biases.shape)), 1.0, BITS)


def as_schedule(schedule: Annotated[Numbers, "laws"]) -> Float[Array, " laws"]:
    """The t of the laws of a path as a floating array. Raises ValueError for static ones that do not rise from 0 to 1.

    >>> as_schedule([0, 0.5, 1]).tolist()
    [0.0, 0.5, 1.0]
    """
    schedule = as_float("schedule", schedule, (None,))
    if is_static(schedule):
        values = np.asarray(schedule)
        if len(values) < 2 or not (values[0] == 0 and values[-1] == 1 and (np.diff(values) > 0).all()):
            raise ArgumentError("schedule: got one that does not rise from 0 to 1, wanted at least 2 numbers that do")
    return schedule


def warmed(params: M, record: type[M], beta: Beta) -> M:
    """Parameters whose law at beta = 1 is that of `params` at beta, for an energy that is linear in them: beta times.

    Raises ValueError for parameters of another record, and for a beta that is negative, infinite or not a scalar.

    >>> from ebmjax.energies.restricted_boltzmann import Params
    >>> warmed(Params(jnp.ones((1, 1)), jnp.zeros(1), jnp.zeros(1)), Params, 0.5).weights.tolist()
    [[0.5]]
    """
    check_finite_beta(beta)
    return jax.tree.map(lambda leaf: reduced(leaf, as_beta(beta)), as_params(params, record))


def _checked(key, path, schedule):
    check_key("key", key)
    check_record("path", path, Path)
    schedule = as_schedule(schedule)
    # on CPU these keys give the same numbers several times as fast
    plain = jax.random.key_impl(key) == jax.random.key_impl(jax.random.key(0, impl="threefry2x32"))
    return random_bits.unrolled(key) if plain else key, schedule
