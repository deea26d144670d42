"""Dictionary learning: find the codes of a batch by exact inference, then minimize over the atoms for these codes.

    W ← argmin Σ ½‖y - Wz‖²  with unit columns, the codes z fixed

By the envelope theorem the codes count as constants. There are three learners:

`online`      block-coordinate descent for the codes of all batches so far; the one to take
`alternate`   block-coordinate descent for the codes of this batch alone, which must be all the data
`descent`     one gradient step for the codes of this batch

All take the regularizer of the codes, and `find`, which finds the codes of a whole batch: any
`ebmjax.minimize.codes.find_code.FindCodes`.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_not_negative, check_record
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.energies.sparse_coding import Params, as_params, normalized
from ebmjax.learn.dictionaries.dead_atoms import count_idle, with_worst_samples
from ebmjax.loops import iterate
from ebmjax.minimize.codes.find_code import FindCodes
from ebmjax.optimizers import as_optimizer, updates_of
from ebmjax.records import record
from ebmjax.types import CONVERGED, Learner, Numbers, Scalar

BLOCK = 16
"""Atoms of a block. One product of matrices serves a block; within it, the atoms are moved one after the other."""


@record
class Statistics(NamedTuple):
    """Sums over all codes so far, in which older samples have less weight."""

    codes: Float[Array, "atoms atoms"]
    """Σ z zᵀ"""
    samples: Float[Array, "atoms observed"]
    """Σ z yᵀ"""


@record
class BlockState(NamedTuple):
    """What `online` and `alternate` remember."""

    params: Params
    statistics: Statistics
    updates: Int[Array, ""]
    """Number of updates so far."""
    idle: Int[Array, " atoms"]
    """For how many updates in a row no code has used each atom."""


@record
class DescentState(NamedTuple):
    """What `descent` remembers."""

    params: Params
    optimizer: optax.OptState
    idle: Int[Array, " atoms"]
    """For how many updates in a row no code has used each atom."""


@record
class Metrics(NamedTuple):
    """Of the batch, with the dictionary before the update."""

    energy: Float[Array, ""]
    """Mean energy of the codes."""
    density: Float[Array, ""]
    """Fraction of the coefficients that are not zero."""
    converged: Float[Array, ""]
    """Fraction of the codes that converged."""
    replaced: Int[Array, ""]
    """Number of atoms that were replaced after the update: the dead ones, as far as there are samples to take."""


def online(
    find: FindCodes, regularizer: Regularizer, forgetting: Scalar = 1.5, sweeps: int = 1, patience: int = 20
) -> Learner:
    """Online dictionary learning: every batch adds to the statistics, then sweeps over the atoms follow.

        u_j = d_j + (B_j - W A_j)/A_jj,    d_j ← u_j/‖u_j‖,    A = Σ z zᵀ,  B = Σ y zᵀ

    Args:
        find: `find(params, regularizer, batch, start) -> Solution`, whose value has the axes (batch, atoms), such as
            `coordinate.solve_batch`, or `find_code.each(admm)`; it is called with a start of None.
        regularizer: of the codes.
        forgetting: ρ ≥ 0; before update t the statistics are multiplied by (1 - 1/t)^ρ, so that the codes of earlier,
            worse dictionaries lose weight. 0 keeps their full weight.
        sweeps: over the atoms, an update, at least 1.
        patience: an atom that no code has used for so many updates in a row is replaced, by the sample of the batch
            with the highest energy; at least 1.

    Returns:
        A learner whose state is `BlockState` and whose metrics are `Metrics`.

    Raises:
        ValueError: sweeps or patience below 1, a static negative forgetting; at the first update, data of another
            length than the atoms.

    Mairal, Bach, Ponce, Sapiro (2009), "Online dictionary learning for sparse coding", algorithms 1 and 2.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.energies.sparse_coding import init
    >>> from ebmjax.minimize.codes.coordinate import solve_batch
    >>> learner = online(solve_batch, l1(0.1))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, init(key, 4, 3)), jnp.eye(4))
    >>> state.params.dictionary.shape, float(metrics.converged)
    ((4, 3), 1.0)
    """
    check_not_negative("forgetting", forgetting)
    forgetting = as_float("forgetting", forgetting, ())
    keep = lambda updates: (1 - 1 / updates) ** forgetting.astype(updates.dtype)
    return _block_coordinate(find, regularizer, keep, sweeps, patience)


def alternate(find: FindCodes, regularizer: Regularizer, sweeps: int = 10, patience: int = 20) -> Learner:
    """Alternating minimization: the codes of this batch, then the atoms for these codes. The batch is all the data.

    The energy of the data never rises where the codes are exact. Arguments and errors as in `online`.

    Engan, Aase, Husøy (1999), "Method of optimal directions for frame design", with unit atoms, minimized one by one.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.energies.sparse_coding import init
    >>> from ebmjax.minimize.codes.coordinate import solve_batch
    >>> learner = alternate(solve_batch, l1(0.1))
    >>> key, energies = jax.random.key(0), []
    >>> state = learner.init(key, init(key, 4, 3))
    >>> for _ in range(2):
    ...     state, metrics = learner.update(key, state, jnp.eye(4))
    ...     energies.append(metrics.energy)
    >>> bool(energies[1] < energies[0])
    True
    """
    return _block_coordinate(find, regularizer, jnp.zeros_like, sweeps, patience)


def descent(
    find: FindCodes, regularizer: Regularizer, optimizer: optax.GradientTransformation, patience: int = 20
) -> Learner:
    """Stochastic gradient descent on the dictionary, W ← W + η (y - Wz) zᵀ for `optax.sgd(η)`, then unit columns.

    Arguments and errors as in `online`; `optimizer` is any optax gradient transformation. The state is `DescentState`.

    Olshausen and Field (1996), "Emergence of simple-cell receptive field properties by learning a sparse code for
    natural images", eq. 5.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.energies.sparse_coding import init
    >>> from ebmjax.minimize.codes.coordinate import solve_batch
    >>> learner = descent(solve_batch, l1(0.1), optax.sgd(0.5))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, init(key, 4, 3)), jnp.eye(4))
    >>> [round(float(length), 3) for length in jnp.linalg.norm(state.params.dictionary, axis=0)]
    [1.0, 1.0, 1.0]
    """
    _check(find, regularizer, patience)
    optimizer = as_optimizer(optimizer)

    def start(key: Key[Array, ""], params: Params) -> DescentState:
        params = as_params(params)
        return DescentState(params, optimizer.init(params), _never_idle(params))

    def update(
        key: Key[Array, ""], state: DescentState, batch: Annotated[Numbers, "batch observed"]
    ) -> tuple[DescentState, Metrics]:
        state = state._replace(params=as_params(state.params))
        return _descend(find, regularizer, optimizer, patience, state, _checked_batch(state.params, batch))

    return Learner(start, update)


@compiled
def _descend(find, regularizer, optimizer, patience, state, batch):
    solution = lax.stop_gradient(find(state.params, regularizer, batch, None))
    residual = batch - solution.value @ state.params.dictionary.T
    slope = Params(-(residual.T @ solution.value) / len(batch))
    misfit = lambda params: jnp.sum(jnp.square(batch - solution.value @ params.dictionary.T)) / (2 * len(batch))
    value = jnp.sum(jnp.square(residual)) / (2 * len(batch))
    updates, memory = updates_of(optimizer, misfit, state.params, value, slope, state.optimizer)
    params = normalized(jax.tree.map(jnp.add, state.params, updates))
    idle = _idle(state.idle, solution)
    atoms, replaced = with_worst_samples(params.dictionary.T, idle >= patience, batch, solution)
    return DescentState(Params(atoms.T), memory, jnp.where(replaced, 0, idle)), _metrics(solution, replaced)


def _block_coordinate(find, regularizer, keep, sweeps, patience):
    _check(find, regularizer, patience)
    check_count("sweeps", sweeps)

    def start(key: Key[Array, ""], params: Params) -> BlockState:
        params = as_params(params)
        observed, atoms = params.dictionary.shape
        zeros = lambda *shape: jnp.zeros(shape, params.dictionary.dtype)
        statistics = Statistics(zeros(atoms, atoms), zeros(atoms, observed))
        return BlockState(params, statistics, jnp.int32(0), _never_idle(params))

    def update(
        key: Key[Array, ""], state: BlockState, batch: Annotated[Numbers, "batch observed"]
    ) -> tuple[BlockState, Metrics]:
        state = state._replace(params=as_params(state.params))
        return _move(find, regularizer, keep, sweeps, patience, state, _checked_batch(state.params, batch))

    return Learner(start, update)


@compiled
def _move(find, regularizer, keep, sweeps, patience, state, batch):
    solution = lax.stop_gradient(find(state.params, regularizer, batch, None))
    updates = state.updates + 1
    kept = keep(updates.astype(batch.dtype))
    added = Statistics(solution.value.T @ solution.value, solution.value.T @ batch)
    statistics = jax.tree.map(lambda old, new: kept * old + new, state.statistics, added)
    atoms = iterate(lambda atoms: block_coordinate_sweep(atoms, statistics), state.params.dictionary.T, sweeps)
    idle = _idle(state.idle, solution)
    atoms, replaced = with_worst_samples(atoms, idle >= patience, batch, solution)
    alive = (~replaced).astype(batch.dtype)
    statistics = Statistics(statistics.codes * alive[:, None] * alive[None], statistics.samples * alive[:, None])
    idle = jnp.where(replaced, 0, idle)
    return BlockState(Params(atoms.T), statistics, updates, idle), _metrics(solution, replaced)


def block_coordinate_sweep(
    atoms: Float[Array, "atoms observed"], statistics: Statistics
) -> Float[Array, "atoms observed"]:
    """One sweep of block-coordinate descent over the atoms, which are rows here, for the statistics of codes.

    The order and the result are those of moving one atom after the other. An atom that no code uses stays.
    Raises ValueError for atoms that are not numbers, and for statistics that are no `Statistics`.

    >>> statistics = Statistics(jnp.array([[2.0]]), jnp.array([[0.0, 6.0]]))
    >>> block_coordinate_sweep(jnp.array([[1.0, 0.0]]), statistics).tolist()
    [[0.0, 1.0]]
    """
    check_record("statistics", statistics, Statistics)
    statistics = Statistics(*(as_float("statistics", array) for array in statistics))
    return _sweep(as_float("atoms", atoms, (None, None)), statistics)


@compiled
def _sweep(atoms, statistics):
    count, observed = atoms.shape
    blocks = -(-count // BLOCK)
    missing = blocks * BLOCK - count
    weights = jnp.pad(statistics.codes, ((0, missing), (0, missing)))
    atoms = jnp.pad(atoms, ((0, missing), (0, 0)))
    samples = jnp.pad(statistics.samples, ((0, missing), (0, 0)))

    def block(atoms, first):
        rows = lax.dynamic_slice(weights, (first, 0), (BLOCK, len(weights)))
        inside = lax.dynamic_slice(rows, (0, first), (BLOCK, BLOCK))
        old = lax.dynamic_slice(atoms, (first, 0), (BLOCK, observed))
        # row j is B_j - W A_j; the atoms of the blocks before this one have moved already
        pull = lax.dynamic_slice(samples, (first, 0), (BLOCK, observed)) - rows @ atoms

        def move(place, new):
            row = lax.dynamic_index_in_dim(inside, place, 0, keepdims=False)
            own = row[place]
            before = lax.dynamic_index_in_dim(old, place, 0, keepdims=False)
            target = lax.dynamic_index_in_dim(pull, place, 0, keepdims=False) - row @ (new - old) + own * before
            length = jnp.sqrt(jnp.sum(jnp.square(target)))
            movable = (own > 0) & (length > 0)
            atom = jnp.where(movable, target / jnp.where(movable, length, 1), before)
            return lax.dynamic_update_index_in_dim(new, atom, place, 0)

        new = lax.fori_loop(0, BLOCK, move, old)
        return lax.dynamic_update_slice(atoms, new, (first, 0)), None

    atoms, _ = lax.scan(block, atoms, jnp.arange(blocks) * BLOCK)
    return atoms[:count]


def _check(find, regularizer, patience):
    check_callable("find", find)
    check_regularizer(regularizer)
    check_count("patience", patience)


def _checked_batch(params, batch):
    batch = as_float("data", batch)
    if batch.ndim != 2 or batch.shape[1] != params.dictionary.shape[0] or not len(batch):
        raise ArgumentError(f"data: got batches of shape {batch.shape}, wanted (batch, {params.dictionary.shape[0]})")
    return batch.astype(params.dictionary.dtype)


def _never_idle(params):
    return jnp.zeros(params.dictionary.shape[1], jnp.int32)


def _idle(idle, solution):
    """For how many updates in a row each atom has been idle; one that is replaced begins anew."""
    return count_idle(idle, jnp.any(solution.value != 0, axis=0))


def _metrics(solution, replaced):
    return Metrics(
        jnp.mean(solution.energy),
        jnp.mean((solution.value != 0).astype(solution.value.dtype)),
        jnp.mean((solution.result == CONVERGED).astype(solution.value.dtype)),
        jnp.sum(replaced, dtype=jnp.int32),
    )
