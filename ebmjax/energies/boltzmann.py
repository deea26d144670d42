"""Boltzmann machine: a Hopfield network at a temperature, whose units are visible, hidden or labels.

    E(s) = -½ sᵀWs - bᵀs,    s ∈ {-1, +1}^N, P(s) = exp(-beta E(s)) / Z

Parameters, energy and field are those of the Hopfield network. The conditional law of a spin given all others is
P(s_i = +1 | rest) = σ(2 beta (Ws + b)_i).

Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines".
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ebmjax.checks import (
    ArgumentError,
    as_example,
    as_float,
    as_params,
    check_count,
    check_key,
    check_record,
    is_static,
)
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Units(NamedTuple):
    """The role of each spin: three arrays of indices that together contain every spin exactly once."""

    visible: Int[np.ndarray, " visible"]
    hidden: Int[np.ndarray, " hidden"]
    label: Int[np.ndarray, " label"]


def init(key: Key[Array, ""], units: int, scale: float = 0.1) -> Params:
    """Symmetric Gaussian couplings of standard deviation `scale` / √N with zero diagonal, and biases of zero.

    Raises ValueError for units below 1.

    >>> params = init(jax.random.key(0), 3)
    >>> bool(jnp.all(params.weights == params.weights.T)), params.bias.tolist()
    (True, [0.0, 0.0, 0.0])
    """
    check_key("key", key)
    check_count("units", units)
    upper = jnp.triu(jax.random.normal(key, (units, units)), 1) * (scale / np.sqrt(units))
    return Params(upper + upper.T, jnp.zeros(units))


def energy(params: Params, spins: Annotated[Numbers, "units"]) -> Scalar:
    """E(s) = -½ sᵀWs - bᵀs of one state, a scalar; W and b are in units of energy.

    >>> float(energy(Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.zeros(2)), jnp.array([1.0, -1.0])))
    1.0
    """
    return hopfield.energy(params, spins)


def partition(visible: int, hidden: int = 0, label: int = 0) -> Units:
    """The partition that numbers the visible units first, then the hidden ones, then the labels.

    Raises ValueError for a negative count or no unit at all.

    >>> [part.tolist() for part in partition(2, 1, 1)]
    [[0, 1], [2], [3]]
    """
    counts = {"visible": visible, "hidden": hidden, "label": label}
    for name, count in counts.items():
        if not isinstance(count, int | np.integer) or count < 0:
            raise ArgumentError(f"{name}: got {count!r}, wanted an integer of at least 0")
    if sum(counts.values()) == 0:
        raise ArgumentError("visible: got 0 units in all, wanted at least one")
    ends = np.cumsum([0, *counts.values()])
    return Units(*(np.arange(start, end) for start, end in zip(ends[:-1], ends[1:], strict=True)))


def check_partition(params: Params, units: Units) -> None:
    """Raise ValueError where the three parts do not contain every spin of the machine exactly once.

    >>> check_partition(init(jax.random.key(0), 2), Units(np.array([0]), np.array([0]), np.array([], int)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: units: got the spins [0, 0], wanted each of 0 to 1 once
    """
    counted = sorted(int(unit) for part in units for unit in part)
    size = params.bias.shape[0]
    if counted != list(range(size)):
        raise ArgumentError(f"units: got the spins {counted}, wanted each of 0 to {size - 1} once")


def join(
    units: Units,
    visible: Annotated[Numbers, "visible"],
    hidden: Annotated[Numbers, "hidden"],
    label: Annotated[Numbers, "label"],
) -> Float[Array, " units"]:
    """One state of the whole machine from the values of its three parts, whose shapes are those of `units`.

    Raises ValueError for a part of another shape.

    >>> units = Units(np.array([2, 0]), np.array([1]), np.array([], int))
    >>> join(units, jnp.array([1.0, -1.0]), jnp.array([3.0]), jnp.zeros(0)).tolist()
    [-1.0, 3.0, 1.0]
    """
    check_record("units", units, Units)
    order = np.argsort(np.concatenate(units))
    names = ("visible", "hidden", "label")
    parts = [
        as_float(name, part, np.shape(places))
        for name, part, places in zip(names, (visible, hidden, label), units, strict=True)
    ]
    return jnp.concatenate(parts)[order]


def one_hot_spins(labels: Annotated[Numbers, "*batch"], classes: int) -> Float[Array, "*batch classes"]:
    """The one-hot code of a class in spins: +1 for the label unit of the class, -1 for the others.

    Raises ValueError for a static label outside 0 … classes - 1, and for classes below 1.

    >>> one_hot_spins(jnp.array(1), 3).tolist()
    [-1.0, 1.0, -1.0]
    """
    check_count("classes", classes)
    if is_static(labels):
        outside = np.asarray(labels)[(np.asarray(labels) < 0) | (np.asarray(labels) >= classes)]
        if outside.size:
            raise ArgumentError(f"labels: got {outside.flat[0]}, wanted 0 to {classes - 1}")
    return 2 * jax.nn.one_hot(labels, classes) - 1


def clamp_units(params: Params, known: Bool[np.ndarray, " units"], values: Annotated[Numbers, "units"]) -> Params:
    """The Boltzmann machine of the free units f, when the known units k are clamped: W_ff and b_f + W_fk s_k.

    Its energy differs from that of `ebmjax.energies.clamp.clamp` by a constant, so that its law is the same: the
    conditional law of the free units.

    Args:
        params: the whole machine.
        known: True for a unit that is clamped, static; the free units keep their order.
        values: values of all units; those of the free units are not used.

    Raises:
        ValueError: every unit clamped, or `known` of another shape than the biases.

    >>> pair = Params(jnp.array([[0.0, 2.0], [2.0, 0.0]]), jnp.zeros(2))
    >>> clamp_units(pair, np.array([True, False]), jnp.array([-1.0, 0.0])).bias.tolist()
    [-2.0]
    """
    known = np.asarray(known, bool)
    params = as_params(params, Params)
    values = as_example("values", values, params.weights, params.bias.shape)
    if known.shape != params.bias.shape:
        raise ArgumentError(f"known: got shape {known.shape}, wanted {params.bias.shape}, one entry a unit")
    if known.all():
        raise ArgumentError("known: got every unit clamped, wanted at least one that is free")
    free, clamped = np.nonzero(~known)[0], np.nonzero(known)[0]
    between = params.weights[free][:, clamped]
    return Params(params.weights[free][:, free], params.bias[free] + matmul(between, values[clamped]))
