"""Dictionary learning: code a batch by exact inference, then move the atoms to where the codes need them.

    W ← argmin Σ ½‖y - Wz‖²  with unit columns, the codes z held

By the envelope theorem the codes count as constants. There are three learners: `online` and `alternate` minimize by
block-coordinate descent, `descent` follows the gradient. All take the regularizer of the codes, and `find`, which finds
the codes of a whole batch: any `ebmjax.minimize.codes.find_code.FindCodes`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, check_count, check_not_negative
from ebmjax.energies.regularizers import Regularizer
from ebmjax.energies.sparse_coding import Params, normalized
from ebmjax.minimize.codes.find_code import FindCodes
from ebmjax.types import CONVERGED, Learner, Scalar

BLOCK = 16
"""Atoms that are moved one after the other, after one product of matrices for what all others leave to them."""


class Statistics(NamedTuple):
    """What the atoms need to know of all codes so far: Σ z zᵀ and Σ z yᵀ, older samples counting less."""

    codes: Float[Array, "atoms atoms"]
    samples: Float[Array, "atoms observed"]


class DictionaryState(NamedTuple):
    """The dictionary, its statistics, updates made, and for how many of them each atom has been idle."""

    params: Params
    statistics: Statistics
    updates: Int[Array, ""]
    idle: Int[Array, " atoms"]


class DescentState(NamedTuple):
    """The dictionary, the optimizer's memory, and for how many updates each atom has been idle."""

    params: Params
    optimizer: optax.OptState
    idle: Int[Array, " atoms"]


class DictionaryMetrics(NamedTuple):
    """Of the batch, before the update: mean energy of the codes, the part of coefficients that is not zero, and the
    part of codes that converged; and how many atoms were replaced after it."""

    energy: Float[Array, ""]
    density: Float[Array, ""]
    converged: Float[Array, ""]
    replaced: Int[Array, ""]


def online(
    find: FindCodes, regularizer: Regularizer, forgetting: Scalar = 1.5, sweeps: int = 1, patience: int = 20
) -> Learner:
    """Online dictionary learning: every batch adds to the statistics, one sweep over the atoms follows.

        u_j = d_j + (B_j - W A_j)/A_jj,    d_j ← u_j/‖u_j‖,    A = Σ z zᵀ,  B = Σ y zᵀ

    Args:
        find: `find(params, regularizer, batch, start) -> Solution`, whose value has the axes (batch, atoms), such as
            `coordinate.solve_batch`, or `find_code.each(admm)`; it is called with a start of None.
        regularizer: of the codes.
        forgetting: ρ ≥ 0; before update t the statistics are multiplied by (1 - 1/t)^ρ, so that the codes of an
            earlier, worse dictionary fade. 0 keeps all.
        sweeps: over the atoms, an update, at least 1.
        patience: an atom that no sample of so many updates in a row has used is replaced, by the sample of the batch
            with the highest energy.

    Raises:
        ValueError: sweeps or patience below 1, negative forgetting; and, at the first update, data of another length
            than the atoms.

    Mairal, Bach, Ponce & Sapiro (2009), "Online dictionary learning for sparse coding", algorithms 1 and 2.

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
    return _block_coordinate(find, regularizer, lambda updates: (1 - 1 / updates) ** forgetting, sweeps, patience)


def alternate(find: FindCodes, regularizer: Regularizer, sweeps: int = 10, patience: int = 20) -> Learner:
    """Alternating minimization: codes of this batch alone, then the atoms for these codes; the batch is all the data.

    Args and errors as in `online`. The energy of the whole data never rises, as far as the codes are exact.
    Engan, Aase & Husøy (1999), "Method of optimal directions"; the atoms one by one keep unit length.

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

    Args and errors as in `online`; `optimizer` is any optax gradient transformation. Olshausen & Field (1996), eq. 5.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.energies.sparse_coding import init
    >>> from ebmjax.minimize.codes.coordinate import solve_batch
    >>> learner = descent(solve_batch, l1(0.1), optax.sgd(0.5))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, init(key, 4, 3)), jnp.eye(4))
    >>> [round(float(length), 3) for length in jnp.linalg.norm(state.params.dictionary, axis=0)]
    [1.0, 1.0, 1.0]
    """
    check_count("patience", patience)

    def start(key: Key[Array, ""], params: Params) -> DescentState:
        return DescentState(params, optimizer.init(params), _none(params))

    def update(
        key: Key[Array, ""], state: DescentState, batch: Float[Array, "batch observed"]
    ) -> tuple[DescentState, DictionaryMetrics]:
        solution = _codes(find, regularizer, state.params, batch)
        residual = batch - solution.value @ state.params.dictionary.T
        slope = Params(-(residual.T @ solution.value) / len(batch))
        updates, memory = optimizer.update(slope, state.optimizer, state.params)
        params = normalized(jax.tree.map(jnp.add, state.params, updates))
        idle, dead = _idle(state.idle, solution, patience)
        atoms = _revived(params.dictionary.T, dead, batch, solution)
        return DescentState(Params(atoms.T), memory, idle), _metrics(solution, dead)

    return Learner(start, update)


def _block_coordinate(find, regularizer, keep, sweeps, patience):
    check_count("sweeps", sweeps)
    check_count("patience", patience)

    def start(key: Key[Array, ""], params: Params) -> DictionaryState:
        observed, atoms = params.dictionary.shape
        zeros = lambda *shape: jnp.zeros(shape, params.dictionary.dtype)
        return DictionaryState(
            params, Statistics(zeros(atoms, atoms), zeros(atoms, observed)), jnp.int32(0), _none(params)
        )

    def update(
        key: Key[Array, ""], state: DictionaryState, batch: Float[Array, "batch observed"]
    ) -> tuple[DictionaryState, DictionaryMetrics]:
        solution = _codes(find, regularizer, state.params, batch)
        updates = state.updates + 1
        kept = keep(updates.astype(batch.dtype))
        added = Statistics(solution.value.T @ solution.value, solution.value.T @ batch)
        statistics = jax.tree.map(lambda old, new: kept * old + new, state.statistics, added)
        atoms = lax.fori_loop(0, sweeps, lambda _, atoms: moved(atoms, statistics), state.params.dictionary.T)
        idle, dead = _idle(state.idle, solution, patience)
        atoms = _revived(atoms, dead, batch, solution)
        alive = (~dead).astype(batch.dtype)
        statistics = Statistics(statistics.codes * alive[:, None] * alive[None], statistics.samples * alive[:, None])
        return DictionaryState(Params(atoms.T), statistics, updates, idle), _metrics(solution, dead)

    return Learner(start, update)


def moved(atoms: Float[Array, "atoms observed"], statistics: Statistics) -> Float[Array, "atoms observed"]:
    """One sweep of block-coordinate descent over the atoms, rows here, for the statistics of codes.

    The order and the result are those of one atom after the other. An atom that no code uses stays.

    >>> statistics = Statistics(jnp.array([[2.0]]), jnp.array([[0.0, 6.0]]))
    >>> moved(jnp.array([[1.0, 0.0]]), statistics).tolist()
    [[0.0, 1.0]]
    """
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
        # row j is B_j - W A_j, in which the atoms before the block have moved already
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


def _codes(find, regularizer, params, batch):
    if jnp.ndim(batch) != 2 or batch.shape[1] != params.dictionary.shape[0]:
        raise ArgumentError(
            f"data: got batches of shape {jnp.shape(batch)}, wanted (batch, {params.dictionary.shape[0]})"
        )
    return lax.stop_gradient(find(params, regularizer, batch, None))


def _none(params):
    return jnp.zeros(params.dictionary.shape[1], jnp.int32)


def _idle(idle, solution, patience):
    """How long every atom has been idle, and which have been for too long, whose count begins anew."""
    idle = jnp.where(jnp.any(solution.value != 0, axis=0), 0, idle + 1)
    dead = idle >= patience
    return jnp.where(dead, 0, idle), dead


def _revived(atoms, dead, batch, solution):
    """Dead atoms become samples of the batch, those of the highest energy; any more than there are samples wait."""

    def replace():
        order = jnp.argsort(-solution.energy)
        rank = jnp.cumsum(dead) - 1
        worst = batch[order[jnp.minimum(rank, len(batch) - 1)]]
        length = jnp.linalg.norm(worst, axis=1, keepdims=True)
        usable = dead[:, None] & (rank < len(batch))[:, None] & (length > 0)
        return jnp.where(usable, worst / jnp.where(length > 0, length, 1), atoms)

    return lax.cond(jnp.any(dead), replace, lambda: atoms)


def _metrics(solution, dead):
    return DictionaryMetrics(
        jnp.mean(solution.energy),
        jnp.mean((solution.value != 0).astype(solution.value.dtype)),
        jnp.mean((solution.result == CONVERGED).astype(solution.value.dtype)),
        jnp.sum(dead, dtype=jnp.int32),
    )
