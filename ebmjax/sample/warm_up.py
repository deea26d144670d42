"""Warm-up: the step size and the units of a kernel of continuous unknowns, found while a chain approaches its law.

    log h ← μ - √t/(γ (t + t₀)) Σ (δ - aᵢ),    the step size by dual averaging, until the mean acceptance a is δ
    s² ← the variances of the positions, or L Lᵀ their covariance, at the end of windows that double in length

What `warm_up` finds belongs to `rescaled.rescaled`, which makes the kernel of the sampling that follows. One function
serves `hamiltonian`, `langevin.mala`, random walks of `metropolis`, and the kernels of BlackJAX: all whose info says
how likely a proposal is to be accepted.

Hoffman and Gelman (2014), "The No-U-Turn sampler", section 3.2; the Stan reference manual, section "HMC algorithm
parameters", for the windows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    as_scalar,
    check_callable,
    check_count,
    check_key,
    check_record,
    check_share,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate
from ebmjax.records import record
from ebmjax.sample.rescaled import rescaled
from ebmjax.states import begun
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, AnyKernel, Energy, Scalar

GAMMA, DELAY, POWER = 0.05, 10.0, 0.75
"""γ, t₀ and κ of Hoffman and Gelman (2014)."""

FIRST_WINDOW = 25
"""Steps of the first window after which the units change."""

FARTHEST = 0.15
"""The mean acceptance at the end may be so far from the one that is wanted."""


@runtime_checkable
class MakeKernel(Protocol):
    """A kernel of any energy with any step size."""

    def __call__(self, energy: Energy, step_size: Any, /) -> AnyKernel:
        """Such as `lambda energy, step_size: hamiltonian(energy, beta, step_size, 8)`; the step size is traced."""
        ...


@record
class Spread(NamedTuple):
    """How the units are estimated from the positions of a chain: `diagonal()` or `dense()`."""

    init: Callable[[Any], Any]
    """`position -> moments`, before a position is counted."""
    update: Callable[[Any, Any], Any]
    """`(moments, position) -> moments`."""
    start: Callable[[Any], Any]
    """`position -> scale`, the units before any are known: all 1."""
    scale: Callable[[Any, Any], Any]
    """`(moments, scale) -> scale`, the units by these moments, drawn to the old ones where positions are few."""


@record
class WarmUp(NamedTuple):
    """What a warm-up has found."""

    position: PyTree[Array]
    """Where the chain is."""
    step_size: Float[Array, ""]
    """In units of the scale."""
    scale: PyTree[Array]
    """The argument of `rescaled`."""
    acceptance: Float[Array, ""]
    """Mean probability of acceptance in the last tenth of the steps."""
    result: Int[Array, ""]
    """`CONVERGED`; `STEP_LIMIT` where the acceptance is farther than 0.15 from the one that was wanted; `DIVERGED`
    where the chain stood still in the last tenth of the steps, its energy is so large that its changes are rounded to
    nothing, or a number is not finite."""


@record
class _Dual(NamedTuple):
    """Dual averaging of the logarithm of the step size."""

    centre: Float[Array, ""]
    count: Float[Array, ""]
    missing: Float[Array, ""]  # Σ (δ - a)
    log_step: Float[Array, ""]
    log_mean: Float[Array, ""]


@record
class _Moments(NamedTuple):
    count: Float[Array, ""]
    mean: PyTree[Array]
    square: PyTree[Array]  # the sum of squares, or of outer products, of the distances from the mean


def warm_up(
    key: Key[Array, ""],
    energy: Energy,
    make_kernel: MakeKernel,
    position: PyTree[Any],
    steps: int = 1000,
    target: Scalar = 0.8,
    spread: Spread | None = None,
) -> WarmUp:
    """Find the step size and the units of a kernel.

    Args:
        key: typed random key.
        energy: `energy(position) -> scalar`.
        make_kernel: `(energy, step_size) -> Kernel`. Its info has `energy_error`, `acceptance_rate` or `accepted`.
        position: where the chain starts; `jax.vmap` over keys and positions warms many chains up.
        steps: of the kernel, static, at least 20.
        target: δ, the mean probability of acceptance that is wanted, in (0, 1): 0.8 for `hamiltonian`, 0.57 for
            `langevin.mala`, 0.3 for a random walk in several dimensions.
        spread: `diagonal()` by default, `dense()` for unknowns that are correlated.

    Returns:
        `WarmUp`. The kernel to sample with is
        `rescaled(lambda energy: make_kernel(energy, found.step_size), energy, found.scale)`.

    Raises:
        ValueError: functions that are none, fewer than 20 steps, a target outside (0, 1), a kernel whose info says
            nothing of acceptance, a key that is not typed.

    Hoffman and Gelman (2014), eq. 6.

    >>> from ebmjax.sample.hamiltonian import hamiltonian
    >>> make_kernel = lambda energy, step_size: hamiltonian(energy, 1.0, step_size, 4)
    >>> found = warm_up(jax.random.key(0), lambda x: jnp.sum((x / 100) ** 2) / 2, make_kernel, jnp.zeros(2), 500)
    >>> bool(jnp.all((found.scale > 50) & (found.scale < 200))), int(found.result)
    (True, 0)
    """
    check_key("key", key)
    check_callable("energy", energy)
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)
    if steps < 20:
        raise ArgumentError(f"steps: got {steps}, wanted at least 20")
    check_share("target", target)
    spread = diagonal() if spread is None else spread
    check_record("spread", spread, Spread)
    return _warm_up(
        key,
        energy,
        make_kernel,
        as_floats("position", position),
        as_float("target", target, ()),
        spread,
        windows(steps),
    )


def windows(steps: int) -> tuple[tuple[int, bool], ...]:
    """The lengths of the windows of a warm-up, and whether the units change at their end.

    15% of the steps find a step size, windows that double in length find the units, and 10% the step size in the last
    units. Raises ValueError for steps below 1.

    >>> windows(1000)
    ((150, False), (25, True), (50, True), (100, True), (575, True), (100, False))
    """
    check_count("steps", steps)
    first, last = max(steps * 15 // 100, 1), max(steps // 10, 1)
    left, length, inner = steps - first - last, FIRST_WINDOW, []
    while left > 0:
        taken = length if left >= 3 * length else left
        inner.append((taken, True))
        left, length = left - taken, 2 * length
    return (first, False), *inner, (last, False)


@compiled
def _warm_up(key, energy, make_kernel, position, target, spread, windows):
    dtype = jax.tree.leaves(position)[0].dtype
    target = target.astype(dtype)

    def window(carry, of_window):
        position, scale, log_step = carry
        length, renewed, key = of_window
        make = lambda log_step: rescaled(lambda energy: make_kernel(energy, jnp.exp(log_step)), energy, scale)

        def step(carry):
            key, state, dual, moments, total = carry
            key, step_key = jax.random.split(key)
            state, info = make(dual.log_step).step(step_key, state)
            accepted = acceptance_of(info).astype(dtype)
            moments = spread.update(moments, state.position)
            return key, state, _next(dual, target - accepted), moments, total + accepted

        start_key, key = jax.random.split(key)
        state = begun(start_key, make(log_step), position)
        zero = jnp.zeros((), dtype)
        dual = _Dual(log_step + jnp.log(10.0).astype(dtype), zero, zero, log_step, zero)
        carry = iterate(step, (key, state, dual, spread.init(position), zero), length)
        _, state, dual, moments, total = carry
        changed = spread.scale(moments, scale)
        scale = jax.tree.map(lambda new, old: jnp.where(renewed, new, old), changed, scale)
        differs = jax.tree.map(lambda new, old: jnp.any(new != old), state.position, position)
        after, before = (as_scalar("energy", energy(at)) for at in (state.position, position))
        moved = jnp.stack(jax.tree.leaves(differs)).any() & _resolved(after, before)
        return (state.position, scale, dual.log_mean), (total / length.astype(dtype), moved)

    lengths, renewed = zip(*windows, strict=True)
    of_windows = jnp.asarray(lengths, jnp.int32), jnp.asarray(renewed), jax.random.split(key, len(windows))
    carry = position, spread.start(position), jnp.zeros((), dtype)
    (position, scale, log_step), (acceptances, moved) = jax.lax.scan(window, carry, of_windows)
    step_size, acceptance = jnp.exp(log_step), acceptances[-1]
    leaves = jax.tree.leaves((position, scale, step_size))
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()
    result = jnp.where(jnp.abs(acceptance - target) <= FARTHEST, CONVERGED, STEP_LIMIT)
    result = jnp.where(finite & moved[-1] & (acceptance > 0), result, DIVERGED).astype(jnp.int32)
    return WarmUp(position, step_size, scale, acceptance, result)


def _resolved(energy, before):
    """Whether these energies differ by more than their rounding, or are rounded to less than 1.

    Far from a law energies are so large that those of neighbours are the same number: every step is accepted then,
    and the chain stands where it is.
    """
    rounding = jnp.finfo(energy.dtype).eps * jnp.abs(energy)
    return (rounding < 1) | (jnp.abs(energy - before) > 4 * rounding)


def _next(dual, missing):
    count = dual.count + 1
    total = dual.missing + missing
    log_step = dual.centre - jnp.sqrt(count) / (GAMMA * (count + DELAY)) * total
    weight = count**-POWER
    return _Dual(dual.centre, count, total, log_step, weight * log_step + (1 - weight) * dual.log_mean)


def acceptance_of(info: Any) -> Float[Array, "*steps"]:
    """The probability with which a proposal was accepted, or whether it was, by the info of a kernel.

    Raises ValueError for an info without `acceptance_rate`, `energy_error` or `accepted`.

    >>> from ebmjax.sample.gradient_state import Info
    >>> float(acceptance_of(Info(jnp.array(True), jnp.array(jnp.log(2.0)), jnp.array(False), jnp.array(False))))
    0.5
    """
    if hasattr(info, "acceptance_rate"):
        probability = as_float("info.acceptance_rate", info.acceptance_rate)
    elif hasattr(info, "energy_error"):
        error = as_float("info.energy_error", info.energy_error)
        probability = jnp.where(info.diverged, 0, jnp.exp(-jnp.maximum(error, 0)))
    elif hasattr(info, "accepted"):
        probability = as_float("info.accepted", info.accepted)
    else:
        raise ArgumentError(f"info: got a {type(info).__name__}, wanted the info of a kernel, with `accepted`")
    return jnp.where(jnp.isnan(probability), 0, probability)


def diagonal() -> Spread:
    """Units of each unknown for itself: its standard deviation.

    >>> spread = diagonal()
    >>> spread.start(jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """
    square = lambda away, other: jax.tree.map(lambda a, b: a * b, away, other)
    zeros = lambda position: jax.tree.map(jnp.zeros_like, position)
    ones = lambda position: jax.tree.map(jnp.ones_like, position)
    root = lambda variance: jax.tree.map(jnp.sqrt, variance)
    return _spread(zeros, square, ones, lambda scale: square(scale, scale), root)


def dense() -> Spread:
    """Units in which the unknowns, one vector, are uncorrelated: the Cholesky factor of their covariance.

    When it begins, it raises ValueError for a position that is no vector.

    >>> dense().start(jnp.zeros(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    outer = lambda away, other: jnp.outer(away, other)
    zeros = lambda position: jnp.zeros((_vector(position), _vector(position)), position.dtype)
    ones = lambda position: jnp.eye(_vector(position), dtype=position.dtype)
    return _spread(zeros, outer, ones, lambda scale: scale @ scale.T, jnp.linalg.cholesky)


def _vector(position):
    if not isinstance(position, jax.Array) or position.ndim != 1:
        raise ArgumentError("position: got another shape than that of a vector, wanted one vector for dense units")
    return len(position)


def _spread(zeros, product, ones, squared, root):
    def init(position):
        return _Moments(
            jnp.zeros((), jax.tree.leaves(position)[0].dtype), jax.tree.map(jnp.zeros_like, position), zeros(position)
        )

    def update(moments, position):
        count = moments.count + 1
        before = jax.tree.map(lambda x, mean: x - mean, position, moments.mean)
        mean = jax.tree.map(lambda mean, away: mean + away / count.astype(away.dtype), moments.mean, before)
        after = jax.tree.map(lambda x, mean: x - mean, position, mean)
        square = jax.tree.map(jnp.add, moments.square, product(before, after))
        return _Moments(count, mean, square)

    def scale(moments, old):
        def mixed(square, old):
            count = moments.count.astype(square.dtype)
            # as Stan does: few positions are mixed with 5 of a law in the old units
            return square / jnp.maximum(count - 1, 1) * count / (count + 5) + old * 5 / (count + 5)

        return root(jax.tree.map(mixed, moments.square, squared(old)))

    return Spread(init, update, ones, scale)
