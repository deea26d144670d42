"""Many devices: members of a sweep, chains, replicas or samples laid over a mesh of devices.

    line       a mesh of devices in one row
    shard      lays the leading axis of arrays over the devices of a mesh
    replicate  puts a copy of arrays on every device of a mesh
    gather     the whole arrays again, on every process
    map_over   maps a function over members on many devices, with the same bits on any number of them

No function of the library knows of devices. What is mapped over a leading axis, by `jax.vmap` within `jax.jit`, runs
where its members lie: each device computes its own members, and nothing is exchanged but what a function adds up over
them. So a sweep over many devices is the sweep over one of them with its keys, betas or parameters sharded:

    devices = sharding.line()
    keys = sharding.shard(jax.random.split(key, 1024), devices)
    run = jax.jit(jax.vmap(lambda key: trajectory(key, kernel, start, 1000).positions.mean(axis=0)))
    means = sharding.gather(run(keys))

A member draws from its own key, so its random numbers do not depend on the device that it lies on. With one device,
`shard` and `replicate` return what they are given. With several processes (`jax.distributed.initialize`), every process
makes the same calls with the same whole arrays, and keeps the part that lies on its own devices.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ebmjax.checks import ArgumentError, check_arrays, check_callable, check_count, is_static, leading_axis
from ebmjax.compiled import compiled
from ebmjax.loops import map_chunks

X = TypeVar("X")
Y = TypeVar("Y")
AXIS = "members"
"""The name of the one axis of a `line`."""


def line(devices: Any = None) -> Mesh:
    """A mesh of devices in one row, its axis called "members".

    Args:
        devices: by default all devices of all processes, in the order of `jax.devices()`.

    Raises:
        ValueError: no devices, something else among them, or one of them twice.

    >>> line(jax.devices()[:1]).shape["members"]
    1
    """
    devices = jax.devices() if devices is None else devices
    if not isinstance(devices, Sequence) or not all(isinstance(each, jax.Device) for each in devices):
        raise ArgumentError(f"devices: got {devices!r:.100}, wanted a list of devices, such as `jax.devices()`")
    if not devices or len(set(devices)) < len(devices):
        raise ArgumentError(
            f"devices: got {len(devices)}, of which {len(set(devices))} differ, wanted each of them once"
        )
    return Mesh(np.array(devices), (AXIS,))


def check_line(devices: Any) -> None:
    """Raise ValueError for what is no mesh of one axis.

    >>> check_line(line(jax.devices()[:1]))
    """
    if not isinstance(devices, Mesh) or len(devices.axis_names) != 1:
        got = f"the axes {devices.axis_names}" if isinstance(devices, Mesh) else f"a {type(devices).__name__}"
        raise ArgumentError(f"devices: got {got}, wanted a mesh of one axis, as `line` makes it")


def shard(tree: Any, devices: Any) -> Any:
    """The same arrays with their leading axis laid over the devices, an equal part on each.

    Args:
        tree: a pytree of arrays, numbers and keys with one leading axis, such as members, chains or samples.
        devices: from `line`.

    Returns:
        The pytree; with one device what was given, unchanged.

    Raises:
        ValueError: leaves that are no arrays, an array without axes, leading axes of different lengths, or a length
            that is no multiple of the number of devices, or a mesh of more than one axis.

    >>> shard(jnp.arange(4), line(jax.devices()[:1])).shape
    (4,)
    """
    check_line(devices)
    _check_length("tree", leading_axis("tree", tree), devices.size, "devices")
    return _laid(tree, NamedSharding(devices, PartitionSpec(*devices.axis_names)))


def replicate(tree: Any, devices: Any) -> Any:
    """The same arrays with a copy on every device, such as the parameters that all members share.

    Args:
        tree: a pytree of arrays, numbers and keys.
        devices: from `line`.

    Returns:
        The pytree; with one device what was given, unchanged.

    Raises:
        ValueError: leaves that are no arrays, or a mesh of more than one axis.

    >>> float(replicate(1.0, line(jax.devices()[:1])))
    1.0
    """
    check_line(devices)
    check_arrays("tree", tree)
    return _laid(tree, NamedSharding(devices, PartitionSpec()))


def gather(tree: Any) -> Any:
    """The whole arrays, on the first device of every process.

    Args:
        tree: a pytree of arrays, numbers and keys, such as what a function of sharded arrays returned.

    Returns:
        The pytree. With several processes all of them have to call this, and each gets all of it.

    Raises:
        ValueError: leaves that are no arrays.

    >>> gather(shard(jnp.arange(4), line(jax.devices()[:1]))).tolist()
    [0, 1, 2, 3]
    """
    check_arrays("tree", tree)
    return jax.tree.map(_gathered, tree)


def map_over(function: Callable[[X], Y], examples: X, devices: Any, chunk: int) -> Y:
    """`jax.vmap(function)` over many devices: each takes its own examples, `chunk` at a time.

    XLA compiles `jax.vmap` for the number of examples that one device has, and rounds a product of matrices otherwise
    for another number. Here this number is `chunk`, so that 2, 4 or 8 devices, in one process or in several, have the
    same bits. One device has them too, unless XLA folds constants of the function there and not elsewhere.

    Args:
        function: of one example.
        examples: a pytree of arrays and keys with one leading axis, such as keys and betas; sharded or not.
        devices: from `line`.
        chunk: how many examples a device computes together, at least 1.

    Returns:
        results, stacked along the leading axis, each on the device of its example.

    Raises:
        ValueError: chunk below 1, examples without a common leading axis, of which the length is no multiple of the
            devices times the chunk, or an argument of another kind.

    >>> map_over(jnp.sum, jnp.ones((4, 3)), line(jax.devices()[:1]), 2).tolist()
    [3.0, 3.0, 3.0, 3.0]
    """
    check_callable("function", function)
    check_line(devices)
    check_count("chunk", chunk)
    check_arrays("examples", examples)
    _check_length("examples", leading_axis("examples", examples), devices.size * int(chunk), "devices times the chunk")
    return _map_over(function, examples, devices, int(chunk))


@compiled
def _map_over(function, examples, devices, chunk):
    members = PartitionSpec(*devices.axis_names)
    parts = lambda part: map_chunks(function, part, chunk)
    # what a function closes over is the same on all devices, which is not to be proved of each loop in it
    return jax.shard_map(parts, mesh=devices, in_specs=members, out_specs=members, check_vma=False)(examples)


def _check_length(name, length, parts, of_what):
    if length % parts:
        near = max(length - length % parts, parts)
        raise ArgumentError(
            f"{name}: got {length} along the leading axis, wanted a multiple of the {parts} {of_what}, such as {near}"
        )


def _laid(tree, sharding):
    return tree if sharding.mesh.size == 1 else jax.tree.map(lambda leaf: _placed(leaf, sharding), tree)


def _placed(leaf, sharding):
    if _is_key(leaf):
        return _key_of(leaf, _placed(jax.random.key_data(leaf), sharding))
    if isinstance(leaf, jax.Array) and (not leaf.is_fully_addressable or jax.process_count() == 1):
        return jax.device_put(leaf, sharding)
    whole = np.asarray(leaf, dtype=jax.dtypes.canonicalize_dtype(np.asarray(leaf).dtype))
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])


def _gathered(leaf):
    if not isinstance(leaf, jax.Array) or not is_static(leaf):
        return leaf
    if _is_key(leaf):
        return _key_of(leaf, _gathered(jax.random.key_data(leaf)))
    whole = leaf if leaf.is_fully_addressable else multihost_utils.process_allgather(leaf, tiled=True)
    return jax.device_put(whole, jax.local_devices()[0])


def _is_key(leaf) -> bool:
    return isinstance(leaf, Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_of(leaf, data):
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
