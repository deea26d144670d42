"""Members of a sweep over all devices of all processes; on one device nothing is changed.

Every process makes the same calls with the same whole arrays, computes the members of its own devices, and gets the
results of all of them. What it draws and measures after that is the same on each.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ebmjax import sharding
from ebmjax.loops import map_chunks
from experiments.application import kept

MEMBERS, MEMBERS_OF_STEPS, WHOLE = PartitionSpec(sharding.AXIS), PartitionSpec(None, sharding.AXIS), PartitionSpec()


def mapped(function: Callable[..., Any], rows: Any, chunk: int, *shared: Any) -> Any:
    """`map_chunks` of `function(row, *shared)`, to be traced; each device takes its part of the rows."""
    run = lambda rows, *shared: map_chunks(lambda row: function(row, *shared), rows, chunk)
    devices = sharding.line()
    if devices.size == 1:
        return run(rows, *shared)
    size = len(jax.tree.leaves(rows)[0])
    inner = jax.shard_map(
        run, mesh=devices, in_specs=(MEMBERS, *[WHOLE] * len(shared)), out_specs=MEMBERS, check_vma=False
    )
    found = inner(jax.tree.map(lambda leaf: _padded(leaf, devices.size), rows), *shared)
    return jax.tree.map(lambda leaf: leaf[:size], found)


def scanned(step: Callable[..., tuple[Any, Any]], states: Any, items: Any, own: Any, *shared: Any) -> tuple[Any, Any]:
    """Scan many members, to be traced: each device scans its members to the end, and nothing is exchanged before.

    Args:
        step: `step(state, item, own, *shared) -> (state, measured)`, of all members of a device.
        states: with a leading axis of members.
        items: with leading axes of steps and members.
        own: what belongs to each member at every step, with a leading axis of members.
        shared: what belongs to all.

    Returns:
        The last states; and what was measured, with a leading axis of steps.
    """
    length = len(jax.tree.leaves(items)[0])
    run = lambda states, items, own, *shared: jax.lax.scan(
        lambda states, item: step(states, item, own, *shared), states, items, unroll=length == 1
    )
    devices = sharding.line()
    if devices.size == 1:
        return run(states, items, own, *shared)
    size = len(jax.tree.leaves(states)[0])
    pad = lambda leaf: _padded(leaf, devices.size)
    pad_items = lambda leaf: jnp.moveaxis(pad(jnp.moveaxis(leaf, 1, 0)), 0, 1)
    inner = jax.shard_map(
        run,
        mesh=devices,
        in_specs=(MEMBERS, MEMBERS_OF_STEPS, MEMBERS, *[WHOLE] * len(shared)),
        out_specs=(MEMBERS, MEMBERS_OF_STEPS),
        check_vma=False,
    )
    given = jax.tree.map(pad, states), jax.tree.map(pad_items, items), jax.tree.map(pad, own)
    states, measured = inner(*given, *shared)
    return jax.tree.map(lambda leaf: leaf[:size], states), jax.tree.map(lambda leaf: leaf[:, :size], measured)


def program(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `mapped` or `scanned`, ready to be compiled: every process gets the whole results."""
    devices = sharding.line()
    return function if devices.size == 1 else jax.jit(function, out_shardings=_everywhere(devices))


def given(tree: Any) -> Any:
    """Arguments of a program on several devices: the same whole arrays on each."""
    devices = sharding.line()
    return tree if devices.size == 1 else sharding.replicate(tree, devices)


def taken(tree: Any) -> Any:
    """Results of a program on several devices, which each of them has, as arrays of this process."""
    return tree if sharding.line().size == 1 else jax.tree.map(_own, tree)


def agreed(tree: Any) -> Any:
    """What the first process holds, on all of them: where a resumed run goes on."""
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    plain = [np.asarray(jax.random.key_data(leaf) if kept.is_key(leaf) else leaf) for leaf in leaves]
    same = multihost_utils.broadcast_one_to_all(plain)
    return jax.tree.unflatten(structure, [_like(leaf, whole) for leaf, whole in zip(leaves, same, strict=True)])


def _like(leaf, whole):
    """The same kind of leaf with another content."""
    if kept.is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(whole), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        return jnp.asarray(whole)
    return type(leaf)(whole) if isinstance(leaf, int) else np.array(whole)


def _own(leaf):
    if kept.is_key(leaf):
        return jax.random.wrap_key_data(_own(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    return leaf.addressable_data(0)


def _everywhere(devices: Mesh) -> NamedSharding:
    return NamedSharding(devices, WHOLE)


def _padded(leaf, parts):
    """The last member again, until the members are a multiple of the parts."""
    size = leaf.shape[0]
    total = -(-size // parts) * parts
    return leaf if total == size else leaf[np.minimum(np.arange(total), size - 1)]
