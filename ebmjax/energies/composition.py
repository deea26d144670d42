"""Energies made of energies: sums, mixtures, negation, temperature and paths.

With p_i = exp(-beta E_i)/Z_i, where all E_i are energies of the same unknown:

    function              energy                              law
    weighted_sum          Σ w_i E_i                           p ∝ Π p_i^w_i
    product_of_experts    Σ E_i                               p ∝ Π p_i             the "and" of the laws
    mixture               -1/beta log Σ v_i exp(-beta E_i)    p ∝ Σ v_i Z_i p_i     their "or"
    negated               -E_1                                p ∝ 1/p_1             "not", in a bounded set
    tempered              beta E_1                            at inverse temperature 1, the law of E_1 at beta
    interpolated          (1 - t) E_0 + t E_1                 p ∝ p_0^(1-t) p_1^t

The penalties of a latent variable are in `penalties`; `clamp` fixes a part of the unknown.

Hinton (2002), "Training products of experts by minimizing contrastive divergence"; Du, Li and Mordatch (2020),
"Compositional visual generation with energy based models".
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_number,
    as_scalar,
    check_callable,
    check_finite_beta,
    check_not_negative,
    check_share,
    is_coldest,
    is_static,
)
from ebmjax.temperature import softmin
from ebmjax.types import Beta, Energy, Scalar

Weights = Sequence[Scalar] | Float[Array | np.ndarray, "..."]
"""One number for each energy, shape (energies,)."""


def weighted_sum(energies: Sequence[Energy], weights: Weights) -> Energy:
    """E(x) = Σ w_i E_i(x), whose law is p ∝ Π p_i^w_i at every beta.

    A negative weight reverses the preference of its energy, as `negated` does. A weight of zero removes its energy,
    together with the states that it forbids (0 · ∞ = 0).

    Args:
        energies: at least one, all of the same unknown, which may be any pytree.
        weights: one for each energy, of any sign, static or traced, without units.

    Returns:
        The energy, a function of one unknown.

    Raises:
        ValueError: no energies, another number of weights, a weight that is not a scalar, a static weight that is not
            finite; when the returned energy is called, an energy that cannot take the unknown or does not return a
            scalar.

    >>> both = weighted_sum([lambda x: x**2, lambda x: (x - 1) ** 2], [1.0, 0.5])
    >>> float(both(jnp.array(3.0)))
    11.0
    """
    energies = _checked(energies)
    weights = _arrays("weights", _one_each("weights", weights, energies))
    return lambda unknown: sum(map(_times, weights, _values(energies, unknown)))


def product_of_experts(energies: Sequence[Energy]) -> Energy:
    """E(x) = Σ E_i(x), whose law is p ∝ Π p_i at every beta: a state is likely where all experts find it likely.

    An infinite energy of one expert forbids a state. Arguments and errors as in `weighted_sum`.

    Hinton (1999), "Products of experts".

    >>> both = product_of_experts([lambda x: x**2, lambda x: (x - 1) ** 2])
    >>> float(both(jnp.array(3.0)))
    13.0
    """
    energies = _checked(energies)
    return lambda unknown: sum(_values(energies, unknown))


def mixture(
    energies: Sequence[Energy], beta: Beta, weights: Weights | None = None, log_partitions: Weights | None = None
) -> Energy:
    """E(x) = -1/beta log Σ v_i exp(-beta E_i(x)), whose law at beta is p ∝ Σ v_i exp(-beta E_i), a mixture.

    The index of the component is a latent variable that is marginalized, so that the energy depends on beta: only at
    this beta is its law the mixture. At beta = inf it is the least of the energies (the union); at 0 it is their mean.

    A constant added to one energy changes the share of its component. So without `log_partitions` the component i has
    the share w_i Z_i / Σ w_j Z_j of the mixture; with them v_i ∝ w_i / Z_i, and

        p = Σ w_i p_i,    Σ w_i = 1

    Args:
        energies: at least one, all of the same unknown. They may be free energies at the same beta.
        beta: inverse temperature in [0, inf], static or traced, in units of 1/energy.
        weights: one for each energy, not negative; they are normalized here. None: all equal.
        log_partitions: log Z_i of each energy at this beta, as `ebmjax.log_partition` computes; not used at beta = inf.

    Returns:
        The energy, a function of one unknown.

    Raises:
        ValueError: a bad beta, no energies, another number of weights or log-partitions, one that is not a scalar;
            static weights that are negative, not finite or all zero; static log-partitions that are not finite, unless
            beta is inf; when the returned energy is called, an energy that cannot take the unknown or does not return a
            scalar.

    >>> either = mixture([lambda x: x**2, lambda x: (x - 1) ** 2], jnp.inf)
    >>> float(either(jnp.array(3.0)))
    4.0
    """
    energies = _checked(energies)
    beta = as_beta(beta)
    shares = _one_each("weights", [1.0] * len(energies) if weights is None else weights, energies)
    for weight in shares:
        check_not_negative("weights", weight)
    if all(map(is_static, shares)) and not any(shares):
        raise ArgumentError("weights: got nothing but zeros, wanted at least one weight above 0")
    ignored = log_partitions is None or is_coldest(beta)
    logs = _one_each("log_partitions", [0.0] * len(energies) if ignored else log_partitions, energies)
    shares, logs = _arrays("weights", shares), _arrays("log_partitions", logs)

    def energy(unknown: PyTree) -> Float[Array, ""]:
        values = jnp.stack(_values(energies, unknown))
        as_array = lambda numbers: jnp.stack([number.astype(values.dtype) for number in numbers])
        subtracted = jnp.where(jnp.asarray(beta) == jnp.inf, 0, as_array(logs))
        return softmin(values, beta, jnp.log(as_array(shares)) - subtracted)

    return energy


def negated(energy: Energy) -> Energy:
    """E'(x) = -E(x), whose law is p ∝ 1/p_1: states that were likely become unlikely.

    The law can be normalized only on a bounded set, or in a sum with an energy that confines. "A and not B" is
    `weighted_sum([A, negated(B)], [1, w])`, where w is so small that A rises faster than w B falls, or where B is a
    mixture with a constant energy, which is bounded from above. A state that B forbids gets the energy -inf, and NaN
    where A forbids it too: exclude such states.

    Raises ValueError, when the returned energy is called, for an energy that cannot take the unknown or does not return
    a scalar.

    >>> float(negated(lambda x: x**2)(jnp.array(3.0)))
    -9.0
    """
    check_callable("energy", energy)
    return lambda unknown: -_values((energy,), unknown)[0]


def tempered(energy: Energy, beta: Beta) -> Energy:
    """beta E(x): its law at inverse temperature 1 is that of E at beta, at beta' that of E at beta' · beta.

    For a sampler of another library that has no temperature, or for a product of experts that were learned at
    different temperatures. At beta = 0 the energy is zero everywhere, also where E is infinite.

    Args:
        energy: an energy of any unknown.
        beta: inverse temperature in [0, inf), static or traced.

    Raises:
        ValueError: a bad beta, or a static infinite one (use a minimizer there); when the returned energy is called, an
            energy that cannot take the unknown or does not return a scalar.

    >>> float(tempered(lambda x: x**2, 0.5)(jnp.array(2.0)))
    2.0
    """
    check_callable("energy", energy)
    check_finite_beta(beta)
    beta = as_number("beta", beta)
    return lambda unknown: _times(beta, _values((energy,), unknown)[0])


def interpolated(first: Energy, second: Energy, t: Scalar) -> Energy:
    """E(x) = (1 - t) E_0(x) + t E_1(x), whose law is p ∝ p_0^(1-t) p_1^t: the geometric path between two laws.

    It is exactly E_0 at t = 0 and E_1 at t = 1, also where the other one is infinite. Annealed importance sampling
    follows this path.

    Args:
        first: E_0.
        second: E_1, of the same unknown.
        t: in [0, 1], static or traced.

    Raises:
        ValueError: a t that is not a scalar, or a static one outside [0, 1]; when the returned energy is called, an
            energy that cannot take the unknown or does not return a scalar.

    Neal (2001), "Annealed importance sampling", eq. 3.

    >>> between = interpolated(lambda x: x**2, lambda x: (x - 1) ** 2, 0.25)
    >>> float(between(jnp.array(3.0)))
    7.75
    """
    if np.shape(t) != ():
        raise ArgumentError(f"t: got shape {np.shape(t)}, wanted a scalar")
    check_share("t", t)
    t = as_number("t", t)
    return weighted_sum((first, second), (1 - t, t))


ORDINALS = "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"


def _checked(energies):
    if callable(energies):
        raise ArgumentError("energies: got one function, wanted a sequence of them")
    energies = tuple(energies)
    for energy in energies:
        check_callable("energies", energy)
    if not energies:
        raise ArgumentError("energies: got none, wanted at least one")
    return energies


def _one_each(name, numbers, energies):
    """The numbers as a tuple of as many scalars as there are energies; static ones are checked to be finite."""
    numbers = tuple(numbers)
    if len(numbers) != len(energies):
        raise ArgumentError(f"{name}: got {len(numbers)}, wanted {len(energies)}, one for each of the energies")
    for number in numbers:
        if np.shape(number) != ():
            raise ArgumentError(f"{name}: got one of shape {np.shape(number)}, wanted scalars")
        if is_static(number) and not math.isfinite(float(number)):
            raise ArgumentError(f"{name}: got {float(number)}, wanted finite numbers")
    return numbers


def _arrays(name, numbers):
    return tuple(as_number(name, number) for number in numbers)


def _values(energies, unknown):
    """The value of every energy; the error names the one that cannot take the unknown or returns no scalar."""
    values = []
    for index, energy in enumerate(energies):
        which = f"the {ORDINALS[index]}" if index < len(ORDINALS) else f"number {index + 1}"
        try:
            value = energy(unknown)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            shapes = jax.tree.map(np.shape, unknown)
            raise ArgumentError(
                f"energies: {which} cannot take an unknown of shape {shapes}, wanted functions of one unknown: {error}"
            ) from error
        values.append(as_scalar(f"energies: {which}", value))
    return values


def _times(weight, value):
    """weight · value with 0 · ∞ = 0, and with the right derivative with respect to either factor."""
    weight = weight.astype(value.dtype)
    return weight * jnp.where((weight == 0) & jnp.isinf(value), 0, value)
