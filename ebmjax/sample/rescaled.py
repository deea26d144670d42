"""Kernels in other units: a sampler of continuous unknowns that moves as far in every direction as the law is wide.

    x = s ε  or  x = L ε,    a step of the kernel of E(s ε) or E(L ε) at ε

A kernel of Hamiltonian or Langevin dynamics in ε is that with the mass matrix (L Lᵀ)⁻¹ in x, and a random walk in ε is
one whose steps have the covariance L Lᵀ. The law of x is unchanged: the volume element is a constant factor.

Neal (2011), "MCMC using Hamiltonian dynamics", section 5.4.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import ArgumentError, as_floats, check_callable, check_key
from ebmjax.records import record
from ebmjax.states import begun
from ebmjax.types import AnyKernel, Energy, Kernel


@record
class State(NamedTuple):
    """The state of the kernel in units of the scale, and the position in the units of the energy."""

    inner: Any
    """The state of the kernel of ε."""
    position: PyTree[Array]
    """x."""


def rescaled(make_kernel: Callable[[Energy], AnyKernel], energy: Energy, scale: PyTree[Any]) -> Kernel:
    """The kernel `make_kernel` of an energy, in units of a scale.

    Args:
        make_kernel: `energy -> Kernel`, such as `lambda energy: hamiltonian(energy, beta, 0.3, 8)`. Its step size is in
            units of the scale.
        energy: `energy(x) -> scalar`.
        scale: standard deviations s, of the structure and shapes of a position, positive; or, for positions that are
            one vector of n unknowns, a lower triangular matrix L of (n, n) with a positive diagonal. May be traced.

    Returns:
        Kernel of x, whose info is that of the kernel inside.

    Raises:
        ValueError: functions that are none, a scale that is not numbers; at `init`, one that does not fit the position.

    >>> from ebmjax.sample.hamiltonian import hamiltonian
    >>> make_kernel = lambda energy: hamiltonian(energy, 1.0, 0.5, 4)
    >>> kernel = rescaled(make_kernel, lambda x: jnp.sum((x / 100) ** 2) / 2, jnp.full(3, 100.0))
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones(3)))
    >>> bool(info.accepted), bool(jnp.abs(state.position).max() > 10)
    (True, True)
    """
    check_callable("make_kernel", make_kernel)
    check_callable("energy", energy)
    scale = as_floats("scale", scale)

    kernel = make_kernel(lambda units: energy(from_units(scale, units)))

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        position = as_floats("position", position)
        key = jax.random.key(0) if rng_key is None else rng_key
        return State(begun(key, kernel, to_units(scale, position)), position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Any]:
        check_key("rng_key", rng_key)
        inner, info = kernel.step(rng_key, state.inner)
        return State(inner, from_units(scale, inner.position)), info

    return Kernel(init, step)


def from_units(scale: PyTree[Any], units: PyTree[Any]) -> PyTree[Array]:
    """x = s ε, or x = L ε where the scale is a matrix. Raises ValueError for a scale of other shapes.

    >>> from_units(jnp.array([2.0, 3.0]), jnp.ones(2)).tolist()
    [2.0, 3.0]
    """
    scale, units = as_floats("scale", scale), as_floats("units", units)
    if _is_matrix(scale, units):
        return scale.astype(units.dtype) @ units
    return jax.tree.map(lambda size, unit: size.astype(unit.dtype) * unit, scale, units)


def to_units(scale: PyTree[Any], position: PyTree[Any]) -> PyTree[Array]:
    """ε of a position x: the inverse of `from_units`. Raises ValueError for a scale of other shapes.

    >>> to_units(jnp.array([[2.0, 0.0], [2.0, 1.0]]), jnp.array([2.0, 3.0])).tolist()
    [1.0, 1.0]
    """
    scale, position = as_floats("scale", scale), as_floats("position", position)
    if _is_matrix(scale, position):
        return jax.scipy.linalg.solve_triangular(scale.astype(position.dtype), position, lower=True)
    return jax.tree.map(lambda size, x: x / size.astype(x.dtype), scale, position)


def _is_matrix(scale, position):
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    both_arrays = isinstance(position, jax.Array) and isinstance(scale, jax.Array)
    if both_arrays and position.ndim == 1 and scale.shape == 2 * position.shape:
        return True
    if jax.tree.structure(scale) != jax.tree.structure(position) or shapes(scale) != shapes(position):
        raise ArgumentError(f"scale: got {shapes(scale)}, wanted {shapes(position)}, as of a position")
    return False
