"""A lattice larger than one device: multispin sweeps of the square Ising lattice in parts, one on each device.

A position is that of `multispin.pack_lattice`, with the rows of its four sublattices laid over a line of devices
(`sharding.shard`). Before each of the four quarters of a sweep, every device sends the row at its edge to its neighbour
(`jax.lax.ppermute`), and the rotation of a word leads from the last device to the first one. A quarter exchanges
half the columns / 32 words per pair of neighbours, whatever the number of rows: the exchange does not grow with the
part of a device.

Random words belong to places of the lattice: a device draws the words of its own rows (`random_bits.bits_at`). A sweep
has the same bits on any number of devices, and those of `multispin.lattice`.

Block, Virnau, Preis (2010), "Multi-GPU accelerated multi-spin Monte Carlo simulations".
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, as_beta, as_float, check_callable, check_key, is_static
from ebmjax.compiled import compiled
from ebmjax.sample import gibbs
from ebmjax.sample.special import multispin
from ebmjax.sharding import check_line, shard
from ebmjax.types import Beta, Kernel, Scalar


def lattice(
    coupling: Scalar,
    beta: Beta,
    devices: Any,
    bits: random_bits.WordsAt = random_bits.bits_at,
    precision: int = 16,
) -> Kernel:
    """Checkerboard Gibbs sweeps of one lattice of which each device holds some rows; the bits are those of one device.

    `init` lays a position of `multispin.pack_lattice` over the devices.

    Args:
        coupling, beta, precision: as in `multispin.chains`.
        devices: from `sharding.line`.
        bits: source of random words by their places: `random_bits.bits_at`, or `random_bits.hashed_at` for speed.

    Returns:
        A kernel with the same position, of the same draws, as `multispin.lattice` with `random_bits.bits` or `hashed`.

    Raises:
        ValueError: those of `multispin.chains`; a mesh of more than one axis; rows of the lattice that are no multiple
            of 64 times the devices; a lattice of which a sweep draws 2³² words or more for one sublattice.

    Block, Virnau, Preis (2010).

    >>> from ebmjax.sharding import line
    >>> kernel = lattice(1.0, jnp.inf, line(jax.devices()[:1]))
    >>> state = kernel.init(multispin.pack_lattice(jnp.ones((64, 4))))
    >>> bool(jnp.all(multispin.unpack_lattice(kernel.step(jax.random.key(0), state)[0].position) == 1))
    True
    """
    beta = as_beta(beta)
    coupling = as_float("coupling", coupling, ())
    check_line(devices)
    check_callable("bits", bits)
    whole = multispin.lattice(coupling, beta, precision=precision)  # it has the checks

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        state = whole.init(position)
        for part in state.position:
            _check_rows(part, devices, precision)
        return gibbs.State(shard(state.position, devices) if is_static(state.position[0]) else state.position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, None]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, coupling, beta, devices, bits, int(precision)), None

    return Kernel(init, step)


def _check_rows(part, devices, precision):
    rows = 64 * part.shape[0]
    if part.shape[0] % devices.size:
        raise ArgumentError(
            f"position: got a lattice of {rows} rows, wanted a multiple of {64 * devices.size}: "
            f"64 for each of {devices.size} devices"
        )
    if (precision + 1) * math.prod(part.shape) >= 2**32:
        raise ArgumentError(
            f"position: got {math.prod(part.shape)} words in a sublattice, wanted fewer than "
            f"{2**32 // (precision + 1)}: one key has 2^32 draws"
        )


@compiled
def _step(rng_key, state, coupling, beta, devices, bits, precision):
    (axis,), count = devices.axis_names, devices.size

    def of_device(rng_key, coupling, beta, position):
        index = jax.lax.axis_index(axis)
        from_before = [(i, (i + 1) % count) for i in range(count)]
        from_after = [((i + 1) % count, i) for i in range(count)]

        def before(row):
            sent = jax.lax.ppermute(row, axis, from_before)
            return jnp.where(index == 0, multispin.of_strip_before(sent), sent)

        def after(row):
            sent = jax.lax.ppermute(row, axis, from_after)
            return jnp.where(index == count - 1, multispin.of_strip_after(sent), sent)

        def own(key, shape):
            digits, rows, words = shape
            return bits(key, _places(index * rows, count * rows, digits, rows, words))

        kernel = multispin.kernel_of_rows(coupling, beta, own, precision, before, after)
        return kernel.step(rng_key, gibbs.State(position))[0].position

    everywhere, rows = PartitionSpec(), PartitionSpec(axis)
    swept = jax.shard_map(
        of_device, mesh=devices, in_specs=(everywhere, everywhere, everywhere, rows), out_specs=rows, check_vma=False
    )
    return gibbs.State(swept(rng_key, coupling, jnp.asarray(beta), state.position))


def _places(first, all_rows, digits, rows, words):
    """The places, in the flat array (digits, all_rows, words), of the words of some rows."""
    along = lambda axis: jax.lax.broadcasted_iota(jnp.uint32, (digits, rows, words), axis)
    row = along(1) + jnp.asarray(first, jnp.uint32)
    return (along(0) * np.uint32(all_rows) + row) * np.uint32(words) + along(2)
