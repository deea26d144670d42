"""Energies made of energies: their laws multiplied, mixed, divided, heated, and held down.

With p_i = exp(-beta E_i)/Z_i, all of one unknown:

    weighted_sum          Σ w_i E_i                           p ∝ Π p_i^w_i
    product_of_experts    Σ E_i                               p ∝ Π p_i             and
    mixture               -1/beta log Σ w_i exp(-beta E_i)    p ∝ Σ w_i p_i         or, if Z_i is known
    negated               -E                                  p ∝ 1/p_1             not, within an expert that confines
    tempered              beta E                              at 1 what E is at beta
    interpolated          (1 - t) E_0 + t E_1                 p ∝ p_0^(1-t) p_1^t

A latent that is free to move explains everything: with dim(z) ≥ dim(y) the free energy is zero everywhere. Three
things hold it down: a regularizer λR(z) on its size (squared norm) or on its number (L1), and noise, which limits what
it can say. `clamp` conditions on part of the unknown.

Hinton (2002), "Training products of experts by minimizing contrastive divergence"; Du, Li and Mordatch (2020),
"Compositional visual generation with energy based models".
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import (
    ArgumentError,
    as_scalar,
    check_beta,
    check_finite_beta,
    check_not_negative,
    is_coldest,
    is_static,
)
from ebmjax.temperature import softmin
from ebmjax.types import Beta, Energy, Scalar

Weights = Sequence[Scalar] | Float[Array | np.ndarray, "..."]
"""One number an energy, shape (energies,)."""


def weighted_sum(energies: Sequence[Energy], weights: Weights) -> Energy:
    """E(x) = Σ w_i E_i(x), whose law is p ∝ Π p_i^w_i at every beta.

    A negative weight turns its expert's preference round, as `negated` does. A weight of zero takes its expert away,
    with the states that it forbids (0 · ∞ = 0).

    Args:
        energies: at least one, all of the same unknown, which may be any pytree.
        weights: one each, of any sign, static or traced.

    Raises:
        ValueError: no energies, another number of weights, a static weight that is not finite; at the first call, an
            energy that cannot take the unknown, or is not a scalar of it.

    >>> both = weighted_sum([lambda x: x**2, lambda x: (x - 1) ** 2], [1.0, 0.5])
    >>> float(both(jnp.array(3.0)))
    11.0
    """
    energies = _checked(energies)
    weights = _one_each("weights", weights, energies)
    return lambda unknown: sum(map(_times, weights, _values(energies, unknown)))


def product_of_experts(energies: Sequence[Energy]) -> Energy:
    """E(x) = Σ E_i(x), whose law is p ∝ Π p_i at every beta: what all experts allow, each of which has a veto.

    Arguments and errors as in `weighted_sum`. Hinton (1999), "Products of experts".

    >>> both = product_of_experts([lambda x: x**2, lambda x: (x - 1) ** 2])
    >>> float(both(jnp.array(3.0)))
    13.0
    """
    energies = _checked(energies)
    return lambda unknown: sum(_values(energies, unknown))


def mixture(
    energies: Sequence[Energy], beta: Beta, weights: Weights | None = None, log_partitions: Weights | None = None
) -> Energy:
    """E(x) = -1/beta log Σ v_i exp(-beta E_i(x)), whose law at beta is p ∝ Σ v_i exp(-beta E_i): what any allows.

    The component's index is a latent that is marginalized over, so that the energy depends on the beta at which it is
    to be used: at another one it is not the mixture. At beta = inf it is the least of the energies, the union; at 0
    their mean.

    An energy has no scale of its own: adding a constant to it changes its share. So without `log_partitions` the
    component i has the share w_i Z_i / Σ w_j Z_j of the mixture; with them v_i ∝ w_i / Z_i, and

        p = Σ w_i p_i,    Σ w_i = 1

    Args:
        energies: at least one, all of the same unknown. Free energies will do, at the same beta.
        beta: inverse temperature in [0, inf], static or traced.
        weights: one each, not negative, of any scale: they are normalized here. None: all equal.
        log_partitions: log Z_i of each at this beta, as `log_partition` computes; at inf they do not count.

    Raises:
        ValueError: a bad beta, no energies, another number of weights or log-partitions; static weights that are
            negative, not finite or all zero; static log-partitions that are not finite, at a beta that is; at the first
            call, an energy that cannot take the unknown, or is not a scalar of it.

    >>> either = mixture([lambda x: x**2, lambda x: (x - 1) ** 2], jnp.inf)
    >>> float(either(jnp.array(3.0)))
    4.0
    """
    energies = _checked(energies)
    check_beta(beta)
    shares = _one_each("weights", [1.0] * len(energies) if weights is None else weights, energies)
    for weight in shares:
        check_not_negative("weights", weight)
    if all(map(is_static, shares)) and not any(shares):
        raise ArgumentError("weights: got nothing but zeros, wanted a component that has a share")
    ignored = log_partitions is None or is_coldest(beta)
    logs = _one_each("log_partitions", [0.0] * len(energies) if ignored else log_partitions, energies)

    def energy(unknown: Any) -> Float[Array, ""]:
        values = jnp.stack(_values(energies, unknown))
        as_array = lambda numbers: jnp.stack([jnp.asarray(number, values.dtype) for number in numbers])
        subtracted = jnp.where(jnp.asarray(beta) == jnp.inf, 0, as_array(logs))
        return softmin(values, beta, jnp.log(as_array(shares)) - subtracted)

    return energy


def negated(energy: Energy) -> Energy:
    """E'(x) = -E(x), whose law is p ∝ 1/p_1: what the expert finds likely is now unlikely.

    It can be normalized on a bounded set only, or together with an expert that confines: "A and not B" is
    `weighted_sum([A, negated(B)], [1, w])`, with w small enough that A rises faster than w B falls, or with a mixture
    of B and a constant energy for B, which is bounded. Where B forbids a state it is infinitely likely, unless A
    forbids it, which gives NaN: exclude such states. Errors as `weighted_sum`.

    >>> float(negated(lambda x: x**2)(jnp.array(3.0)))
    -9.0
    """
    return lambda unknown: -_values((energy,), unknown)[0]


def tempered(energy: Energy, beta: Beta) -> Energy:
    """beta E(x): its law at inverse temperature 1 is that of E at beta, at beta' that of E at beta' · beta.

    For what knows one temperature only: a sampler of another library, or a product of experts that were learned at
    different ones. At 0 nothing is left of the energy (0 · ∞ = 0).

    Args:
        energy: of any unknown.
        beta: inverse temperature in [0, inf), static or traced.

    Raises:
        ValueError: a bad beta, or a static infinite one: use a minimizer; errors of `weighted_sum`.

    >>> float(tempered(lambda x: x**2, 0.5)(jnp.array(2.0)))
    2.0
    """
    check_finite_beta(beta)
    return lambda unknown: _times(beta, _values((energy,), unknown)[0])


def interpolated(first: Energy, second: Energy, t: Scalar) -> Energy:
    """E(x) = (1 - t) E_0(x) + t E_1(x), whose law is p ∝ p_0^(1-t) p_1^t: the geometric path between two laws.

    Exactly E_0 at t = 0 and E_1 at t = 1, also where the other is infinite. It is the path of annealed importance
    sampling.

    Args:
        first, second: E_0 and E_1, of the same unknown.
        t: in [0, 1], static or traced.

    Raises:
        ValueError: a static t outside [0, 1]; errors of `weighted_sum`.

    Neal (2001), "Annealed importance sampling", eq. 3.

    >>> between = interpolated(lambda x: x**2, lambda x: (x - 1) ** 2, 0.25)
    >>> float(between(jnp.array(3.0)))
    7.75
    """
    if np.shape(t) != ():
        raise ArgumentError(f"t: got shape {np.shape(t)}, wanted a scalar")
    if is_static(t) and not 0 <= float(t) <= 1:
        raise ArgumentError(f"t: got {float(t)}, wanted a number in [0, 1]")
    return weighted_sum((first, second), (1 - t, t))


ORDINALS = "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"


def _checked(energies):
    energies = tuple(energies)
    if not energies:
        raise ArgumentError("energies: got none, wanted at least one")
    return energies


def _one_each(name, numbers, energies):
    """The numbers as a tuple of scalars, as many as energies; finite, where that is known."""
    numbers = tuple(numbers)
    if len(numbers) != len(energies):
        raise ArgumentError(f"{name}: got {len(numbers)}, wanted {len(energies)}, one for each of the energies")
    for number in numbers:
        if np.shape(number) != ():
            raise ArgumentError(f"{name}: got one of shape {np.shape(number)}, wanted scalars")
        if is_static(number) and not math.isfinite(float(number)):
            raise ArgumentError(f"{name}: got {float(number)}, wanted finite numbers")
    return numbers


def _values(energies, unknown):
    """Every energy of the unknown; one that has another unknown, or is not a scalar, is named."""
    values = []
    for index, energy in enumerate(energies):
        which = f"the {ORDINALS[index]}" if index < len(ORDINALS) else f"number {index + 1}"
        try:
            value = energy(unknown)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            shapes = jax.tree.map(np.shape, unknown)
            raise ArgumentError(f"energies: {which} cannot take an unknown of shape {shapes}: {error}") from error
        values.append(as_scalar(f"energies: {which}", value))
    return values


def _times(weight, value):
    """weight · value with 0 · ∞ = 0, and with the right derivative by either."""
    weight = jnp.asarray(weight, value.dtype)
    return weight * jnp.where((weight == 0) & jnp.isinf(value), 0, value)
