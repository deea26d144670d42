"""Checkerboard Gibbs sweeps of square, cubic and other Ising lattices, any couplings and fields, periodic boundary.

    P(s_i = +1 | rest) = σ(2 beta (Σ_j J_ij s_j + h_i)),    j: the neighbours of i, two along each axis

The sites of one colour of a checkerboard interact only with those of the other, and are drawn together. Positions are
the sublattices of `ising.split`, four of a square lattice and eight of a cubic one, so that every update runs over
whole arrays. `gibbs.chromatic` has the same law for any energy and any colouring, and is slower. `multispin` and
`multispin_glass` are faster still, for couplings of one size and no field.

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
    params: ising.Params, beta: Beta, shape: tuple[int, ...], bits: random_bits.RandomWords = random_bits.bits
) -> Kernel:
    """Kernel of one lattice of this shape, with any couplings and fields; `jax.vmap` runs many lattices fast.

    Args:
        params: couplings, one number or one for each bond, and fields, one number or one for each site.
        beta: inverse temperature in [0, inf]; may be traced.
        shape: the number of sites along each axis, all even: (rows, columns) of a square lattice.
        bits: source of random words: `random_bits.bits`, or `random_bits.hashed` for speed.

    Returns:
        A kernel whose positions are the sublattices of `ising.split(spins, len(shape))`. Its info has `changed`.

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
    ising.check_lattice(params, tuple(shape))
    field, bonds, sizes = _lattice(params, tuple(shape))
    sizes = sizes if may_be_coldest(beta) else []
    half = field[0].shape

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if not isinstance(position, tuple | list) or len(position) != len(field):
            raise ArgumentError(
                f"position: got a {type(position).__name__}, wanted the {len(field)} parts of ising.split"
            )
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
    """The fields of the sublattices, their bonds, and Σ|J| + |h| of every site.

    The bonds lead backwards and forwards along each axis in turn: up, down, left and right in a square lattice.
    """
    axes = len(shape)
    coupling = jnp.broadcast_to(params.coupling, (axes, *shape))
    ends = [end for axis, ahead in enumerate(coupling) for end in (jnp.roll(ahead, 1, axis), ahead)]
    field = ising.split(jnp.broadcast_to(params.field, shape), axes)
    bonds = tuple(ising.split(end, axes) for end in ends)
    if params.coupling.ndim == params.field.ndim == 0:
        size = 2 * axes * jnp.abs(params.coupling) + jnp.abs(params.field)
        return field, bonds, [size.reshape((1,) * axes)] * len(field)
    return field, bonds, [jnp.abs(jnp.stack(numbers)).sum(axis=0) for numbers in zip(field, *bonds, strict=True)]


@compiled
def _step(rng_key, state, field, bonds, sizes, beta, bits):
    words = jnp.stack([bits(part_key, field[0].shape) for part_key in jax.random.split(rng_key, len(field))])
    uniforms = random_bits.around_zero(words)
    parts = _sweep(jnp.asarray(beta), field, bonds, sizes, uniforms, state.position)
    changed = [(new != old).astype(new.dtype).mean() for new, old in zip(parts, state.position, strict=True)]
    return gibbs.State(parts), gibbs.Info(jnp.stack(changed).mean())


def _sweep_of_arrays(beta, field, bonds, sizes, uniforms, parts):
    """One sweep of sublattices (*half_lattice, ...); all other arguments broadcast to that shape.

    `sizes` are those of the terms of every field, for ties at beta = inf; there are none where beta is finite.
    """
    axes, parts = len(bonds) // 2, list(parts)
    for index in ising.sublattices_in_turn(axes):
        total = field[index]
        for axis in range(axes):
            # the neighbours along an axis are in one sublattice: one at the same index, one at an index moved by one
            beside, odd = ising.sublattice_beside(index, axis, axes)
            near = parts[beside]
            before, after = (near, jnp.roll(near, -1, axis)) if odd else (jnp.roll(near, 1, axis), near)
            total = total + bonds[2 * axis][index] * before + bonds[2 * axis + 1][index] * after
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
    swept = _sweep_of_arrays(jnp.expand_dims(beta, range(len(bonds) // 2)), field, bonds, sizes, uniforms, parts)
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), swept), jax.tree.map(lambda _: True, swept)
