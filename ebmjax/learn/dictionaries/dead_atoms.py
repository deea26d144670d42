"""Dead atoms: atoms and kernels that no code has used for many updates, and what replaces them.

Mairal, Bach, Ponce, Sapiro (2009), "Online dictionary learning for sparse coding", section 3.4.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ebmjax.checks import as_float, check_key, check_record
from ebmjax.compiled import compiled
from ebmjax.numerics import unit_of
from ebmjax.types import Solution


def count_idle(idle: Int[Array, " atoms"], used: Bool[Array, " atoms"]) -> Int[Array, " atoms"]:
    """For how many updates in a row each atom has been idle: 0 where it is used, else one more than before.

    >>> count_idle(jnp.array([3, 3]), jnp.array([True, False])).tolist()
    [0, 4]
    """
    return jnp.where(used, 0, idle + 1)


def where_dead(
    dead: Bool[Array, " atoms"], new: Float[Array, "atoms *shape"], old: Float[Array, "atoms *shape"]
) -> Float[Array, "atoms *shape"]:
    """`new` for the atoms that are dead, `old` for the others.

    >>> where_dead(jnp.array([True, False]), jnp.ones((2, 2)), jnp.zeros((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    new, old = as_float("new", new), as_float("old", old)
    return jnp.where(jnp.asarray(dead).reshape(-1, *(1,) * (old.ndim - 1)), new, old)


def with_worst_samples(
    atoms: Float[Array, "atoms observed"],
    dead: Bool[Array, " atoms"],
    batch: Float[Array, "batch observed"],
    solution: Solution,
) -> tuple[Float[Array, "atoms observed"], Bool[Array, " atoms"]]:
    """The atoms, the dead ones replaced by the samples of highest energy, scaled to unit length.

    Where there are more dead atoms than samples, the last ones stay; so does an atom whose sample is zero.

    Args:
        atoms: as rows.
        dead: which of them to replace.
        batch: the samples.
        solution: the codes of the batch, of which the energies (batch,) are used.

    Returns:
        `(atoms, replaced)`: the atoms, and which of them were replaced.

    Raises:
        ValueError: atoms or samples that are not numbers, a solution that is no `Solution`.

    >>> solution = Solution(jnp.zeros((1, 2)), jnp.array([5.0]), jnp.int32(1), jnp.int32(0))
    >>> atoms, replaced = with_worst_samples(jnp.eye(2), jnp.ones(2, bool), jnp.array([[0.0, 2.0]]), solution)
    >>> atoms.tolist(), replaced.tolist()
    ([[0.0, 1.0], [0.0, 1.0]], [True, False])
    """
    check_record("solution", solution, Solution)
    return _with_worst(as_float("atoms", atoms), jnp.asarray(dead), as_float("batch", batch), solution)


@compiled
def _with_worst(atoms, dead, batch, solution):
    def replace():
        order = jnp.argsort(-solution.energy)
        rank = jnp.cumsum(dead) - 1
        worst = batch[order[jnp.minimum(rank, len(batch) - 1)]]
        worst = worst / jax.vmap(unit_of)(worst)[:, None]
        length = jnp.linalg.norm(worst, axis=1, keepdims=True)
        usable = dead & (rank < len(batch)) & (length[:, 0] > 0)
        return jnp.where(usable[:, None], worst / jnp.where(length > 0, length, 1), atoms), usable

    return jax.lax.cond(jnp.any(dead), replace, lambda: (atoms, jnp.zeros_like(dead)))


def residual_pieces(
    key: Key[Array, ""], residual: Float[Array, "batch height width *channels"], shape: tuple[int, ...]
) -> Float[Array, "filters rows columns *channels"]:
    """Pieces of kernel size, drawn from the residuals of pictures, to replace dead kernels by.

    A piece is drawn in proportion to the squared residual at its upper left pixel. Pieces have no unit: they are the
    residual divided by a power of two near its largest entry.

    Args:
        key: typed random key.
        residual: pictures minus their reconstructions.
        shape: that of the kernels, (filters, rows, columns, *channels).

    Raises:
        ValueError: a raw key, a residual that is not numbers.

    >>> residual_pieces(jax.random.key(0), jnp.ones((2, 5, 5)), (3, 2, 2)).shape
    (3, 2, 2)
    """
    check_key("key", key)
    residual = as_float("residual", residual)
    filters, rows, columns = shape[:3]
    height, width = residual.shape[1:3]
    residual = residual / unit_of(residual)
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
