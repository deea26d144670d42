"""Checkerboard Gibbs sweeps of the square Ising lattice with any couplings and fields, periodic boundary.

    P(s_i = +1 | rest) = σ(2 beta (Σ_j J_ij s_j + h_i)),    j: the four neighbours of i

The sites of one colour of a checkerboard interact only with those of the other, and are drawn together. Positions are
the four sublattices of `ising.split`, so that every update runs over whole arrays. `gibbs.chromatic` has the same law
for any energy and any colouring, and is slower. `multispin` is faster still, for one coupling and no field.

Geman and Geman (1984), "Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images".
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    check_callable,
    check_key,
    check_record,
    check_units,
)
from ebmjax.compiled import compiled
from ebmjax.energies import ising
from ebmjax.sample import gibbs
from ebmjax.sample.units import may_be_coldest
from ebmjax.types import SPINS, Beta, Kernel


def checkerboard(
    params: ising.Params, beta: Beta, shape: tuple[int, int], bits: random_bits.RandomWords = random_bits.bits
) -> Kernel:
    """Kernel of one lattice of this shape, with any couplings and fields; `jax.vmap` runs many lattices fast.

    Args:
        params: couplings, one number or one for each bond, and fields, one number or one for each site.
        beta: inverse temperature in [0, inf]; may be traced.
        shape: (rows, columns) of the lattice, both even.
        bits: source of random words: `random_bits.bits`, or `random_bits.hashed` for speed.

    Returns:
        A kernel whose positions are the sublattices of `ising.split`. Its info has `changed`.

    Raises:
        ValueError: a bad beta, parameters that do not fit the lattice, an odd side; at `init`, sublattices of another
            shape, spins that are not ±1.

    Geman and Geman (1984).

    >>> params = ising.Params(jnp.array(1.0), jnp.array(0.5))
    >>> kernel = checkerboard(params, jnp.inf, (4, 4))
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init(ising.split(jnp.ones((4, 4)))))
    >>> bool(jnp.all(ising.join(state.position) == 1))
    True
    """
    beta = as_beta(beta)
    check_record("params", params, ising.Params)
    check_callable("bits", bits)
    params = ising.Params(as_float("coupling", params.coupling), as_float("field", params.field))
    ising.check_lattice(params, shape)
    field, bonds, sizes = _lattice(params, tuple(shape))
    sizes = sizes if may_be_coldest(beta) else []
    half = field[0].shape

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if not isinstance(position, tuple | list) or len(position) != 4:
            raise ArgumentError(f"position: got a {type(position).__name__}, wanted the four parts of ising.split")
        position = as_floats("position", tuple(position))
        check_units("position", position, SPINS)
        for part in position:
            if part.shape != half:
                raise ArgumentError(f"position: got parts of {part.shape}, wanted {half}, as of ising.split")
        return gibbs.State(position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, gibbs.Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, field, bonds, sizes, beta, bits)

    return Kernel(init, step)


@compiled
def _lattice(params, shape):
    """The fields of the four sublattices, their bonds up, down, left and right, and Σ|J| + |h| of every site."""
    coupling = jnp.broadcast_to(params.coupling, (2, *shape))
    down, right = ising.split(coupling[0]), ising.split(coupling[1])
    up, left = ising.split(jnp.roll(coupling[0], 1, 0)), ising.split(jnp.roll(coupling[1], 1, 1))
    field, bonds = ising.split(jnp.broadcast_to(params.field, shape)), (up, down, left, right)
    if params.coupling.ndim == params.field.ndim == 0:
        return field, bonds, [(4 * jnp.abs(params.coupling) + jnp.abs(params.field)).reshape(1, 1)] * 4
    return field, bonds, [jnp.abs(jnp.stack(numbers)).sum(axis=0) for numbers in zip(field, *bonds, strict=True)]


@compiled
def _step(rng_key, state, field, bonds, sizes, beta, bits):
    words = jnp.stack([bits(part_key, field[0].shape) for part_key in jax.random.split(rng_key, 4)])
    uniforms = random_bits.around_zero(words)
    parts = _sweep(jnp.asarray(beta), field, bonds, sizes, uniforms, state.position)
    changed = [(new != old).astype(new.dtype).mean() for new, old in zip(parts, state.position, strict=True)]
    return gibbs.State(parts), gibbs.Info(jnp.stack(changed).mean())


def _sweep_of_arrays(beta, field, bonds, sizes, uniforms, parts):
    """One sweep of sublattices (half_rows, half_columns, ...); all other arguments broadcast to that shape.

    `sizes` are those of the terms of every field, for ties at beta = inf; there are none where beta is finite.
    """
    up, down, left, right = bonds
    parts = list(parts)
    for index in (0, 3, 1, 2):
        row, column = divmod(index, 2)
        # the neighbours are in two sublattices: two of them at the same index, two at an index shifted by one
        vertical, horizontal = parts[index ^ 2], parts[index ^ 1]
        above, below = (vertical, jnp.roll(vertical, -1, 0)) if row else (jnp.roll(vertical, 1, 0), vertical)
        before, after = (
            (horizontal, jnp.roll(horizontal, -1, 1)) if column else (jnp.roll(horizontal, 1, 1), horizontal)
        )
        total = field[index] + up[index] * above + down[index] * below + left[index] * before + right[index] * after
        total = gibbs.settled(total, sizes[index], beta) if sizes else total
        parts[index] = gibbs.heat_bath(uniforms[index], 2 * total, beta, SPINS)
    return tuple(parts)


_sweep = jax.custom_batching.custom_vmap(_sweep_of_arrays)


@_sweep.def_vmap
def _sweep_of_many(axis_size, in_batched, *arguments):
    """Under vmap the lattices become the last axis, so that small ones too are updated over contiguous memory."""
    last = lambda x, batched: jnp.moveaxis(x, 0, -1) if batched else jnp.expand_dims(x, -1)
    beta, field, bonds, sizes, uniforms, parts = jax.tree.map(last, arguments, tuple(in_batched))
    parts = jax.tree.map(lambda x: jnp.broadcast_to(x, (*x.shape[:-1], axis_size)), parts)
    swept = _sweep_of_arrays(jnp.expand_dims(beta, (0, 1)), field, bonds, sizes, uniforms, parts)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), swept), jax.tree.map(lambda _: True, swept)
