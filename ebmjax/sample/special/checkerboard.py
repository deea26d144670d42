"""Checkerboard Gibbs sweeps of the square Ising model with any couplings and fields, one colour at a time.

Positions are the four sublattices of `ising.split`, so that every update runs over whole arrays: half of the lattice
sees only the other half. For one coupling and no field, `multispin` is the quick way.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, check_beta, check_units
from ebmjax.energies import ising
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Beta, Kernel


class State(NamedTuple):
    """Sublattices of spins ±1."""

    position: ising.Sublattices


class Info(NamedTuple):
    """What happened in a sweep."""

    changed: Float[Array, ""]  # share of the spins that turned over


def checkerboard(
    params: ising.Params, beta: Beta, shape: tuple[int, int], bits: Callable[[Any, Any], Any] = random_bits.bits
) -> Kernel:
    """Kernel for a lattice of this shape; `jax.vmap` over positions and keys runs many.

    Args:
        params: couplings and fields, uniform or one a bond and a site.
        beta: inverse temperature in [0, inf].
        shape: (rows, columns) of the lattice, both even.
        bits: where random words come from: `random_bits.bits`, or `random_bits.hashed` for speed.

    Raises:
        ValueError: a bad beta, parameters that do not fit, an odd side; at `init`, spins that are not ±1.

    >>> params = ising.Params(jnp.array(1.0), jnp.array(0.5))
    >>> kernel = checkerboard(params, jnp.inf, (4, 4))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init(ising.split(jnp.ones((4, 4)))))
    >>> bool(jnp.all(ising.join(state.position) == 1))
    True
    """
    check_beta(beta)
    ising.check_lattice(params, shape)
    coupling = jnp.broadcast_to(params.coupling, (2, *shape))
    field = ising.split(jnp.broadcast_to(params.field, shape))
    down, right = ising.split(coupling[0]), ising.split(coupling[1])
    up, left = ising.split(jnp.roll(coupling[0], 1, 0)), ising.split(jnp.roll(coupling[1], 1, 1))

    def init(position: ising.Sublattices, rng_key: Key[Array, ""] | None = None) -> State:
        check_units("position", position, SPINS)
        if position[0].shape != field[0].shape:
            raise ArgumentError(
                f"position: got parts of {position[0].shape}, wanted {field[0].shape}, as of ising.split"
            )
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        words = jnp.stack([bits(part_key, field[0].shape) for part_key in jax.random.split(rng_key, 4)])
        uniforms = (words >> np.uint32(8)).astype(field[0].dtype) * 2.0**-24 + 2.0**-25
        parts = _sweep(jnp.asarray(beta, field[0].dtype), field, (up, down, left, right), uniforms, state.position)
        turned = [(new != old).astype(new.dtype).mean() for new, old in zip(parts, state.position, strict=True)]
        return State(parts), Info(jnp.stack(turned).mean())

    return Kernel(init, step)


def _sweep_of_arrays(beta, field, bonds, uniforms, parts):
    """One sweep of sublattices (half_rows, half_columns, ...), all else of that shape or broadcast against it."""
    up, down, left, right = bonds
    parts = list(parts)
    for index in (0, 3, 1, 2):
        row, column = divmod(index, 2)
        # of the same row and of the same column, and the same two moved by one
        vertical, horizontal = parts[index ^ 2], parts[index ^ 1]
        above, below = (vertical, jnp.roll(vertical, -1, 0)) if row else (jnp.roll(vertical, 1, 0), vertical)
        before, after = (
            (horizontal, jnp.roll(horizontal, -1, 1)) if column else (jnp.roll(horizontal, 1, 1), horizontal)
        )
        total = field[index] + up[index] * above + down[index] * below + left[index] * before + right[index] * after
        # u < σ(2 beta field), in a form that neither overflows nor rounds a small probability to nothing
        spin_up = uniforms[index] * (1 + jnp.exp(-reduced(2 * total, beta))) < 1
        parts[index] = jnp.where(spin_up, 1.0, -1.0).astype(total.dtype)
    return tuple(parts)


_sweep = jax.custom_batching.custom_vmap(_sweep_of_arrays)


@_sweep.def_vmap
def _sweep_of_many(axis_size, in_batched, *arguments):
    """Many lattices: they become the last axis, so that small ones too are updated over neighbouring memory."""
    last = lambda x, batched: jnp.moveaxis(x, 0, -1) if batched else jnp.expand_dims(x, -1)
    beta, field, bonds, uniforms, parts = jax.tree.map(last, arguments, tuple(in_batched))
    parts = jax.tree.map(lambda x: jnp.broadcast_to(x, (*x.shape[:-1], axis_size)), parts)
    swept = _sweep_of_arrays(jnp.expand_dims(beta, (0, 1)), field, bonds, uniforms, parts)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), swept), jax.tree.map(lambda _: True, swept)
