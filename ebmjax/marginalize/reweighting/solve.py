"""The equations of the multistate Bennett acceptance ratio, by Newton's method with a line search.

    Σ_n w_n p_k(x_n) = N_k,    p_k(x) = N_k exp(-ℓ_k - u_k(x)) / Σ_j N_j exp(-ℓ_j - u_j(x)),    ℓ_k = log Z_k

They are the stationary point of a convex function of ℓ whose Hessian is the Laplacian of a network: states j and k are
joined by a conductance c_jk = Σ_n w_n p_j(x_n) p_k(x_n), the number of draws that they share. Its diagonal is summed
from the other entries, all of them positive, so that a few shared draws among thousands are right in float32 too. The
inverse of this matrix, with state 0 as the ground, has the voltages for a current from each state to state 0, and the
resistance between two states is the variance of their difference of log Z, but for 1/N of both:

    Var(ℓ_k - ℓ_0) = R_k0 - 1/N_k - 1/N_0

A gap in the sorted voltages is a cut through the network: the conductance across it is at most one over the gap. Where
this, less what N draws on both sides have in any case, is under `LEAST_SHARED`, state k has no overlap with state 0.

The start is the solution of each pair of neighbours by itself (`pair`). Far from the solution, by more than a standard
error, self-consistent steps ℓ_k + log(Σ_n w_n p_k / N_k), which never make the convex function larger, alternate with
those of Newton's method. A step of Newton's is shortened until the function still falls at its end; near the solution,
until its slope there is at most half of what it was. This needs no values of the function, which would have too few
digits in float32.

Shirts and Chodera (2008), eq. 11 and appendix C; Kong et al. (2003); Vardi (1985).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ebmjax.loops import iterate_until
from ebmjax.marginalize.reweighting.draws import LEAST_SHARED
from ebmjax.numerics import matmul
from ebmjax.records import record

MAX_STEPS = 200
NEAR = 0.01
"""How many standard errors from the solution an iteration may end where rounding allows no further step."""

FAR = 1.0
"""How many standard errors from the solution the function counts as not yet quadratic."""


@record
class Fit(NamedTuple):
    """The solution, relative to state 0, and the matrices from which errors follow."""

    log_partition: Float[Array, " states"]
    """ℓ_k - ℓ_0."""
    shares: Float[Array, "states draws"]
    """p_k(x_n): how much of a draw comes from each state."""
    log_weights: Float[Array, " draws"]
    """-log Σ_j N_j exp(-ℓ_j - u_j(x_n)): the weight of a draw under the measure without a Boltzmann factor."""
    voltages: Float[Array, "states states"]
    """Inverse of the Laplacian with state 0 as the ground; its row and column of state 0 are zero."""
    overlaps: Bool[Array, " states"]
    """Whether a state is connected with state 0 by enough shared draws."""
    steps: Int[Array, ""]
    finished: Bool[Array, ""]


@record
class _Point(NamedTuple):
    """The equations at one ℓ, and where to go from there."""

    log_partition: Float[Array, " states"]
    gradient: Float[Array, " states"]
    cross: Float[Array, "states states"]  # the conductances, and Σ w p_k² on the diagonal
    step: Float[Array, " states"]  # that of Newton's method
    length: Float[Array, ""]  # of this step, in standard errors
    least: Float[Array, ""]  # the length of a step that is made of rounding
    share: Float[Array, ""]  # how much of the step is tried
    consistent: Float[Array, " states"]  # the next ℓ of self-consistent iteration
    cautious: Bool[Array, ""]  # whether the self-consistent step is next


def solve(
    reduced: Float[Array, "states draws"],
    measure: Float[Array, " draws"],
    numbers: Float[Array, " states"],
    start: Float[Array, " states"],
) -> Fit:
    """Solve the equations.

    Args:
        reduced: u_k(x_n) of all draws; it may be shifted for each draw and for each state.
        measure: w_n, how many independent draws each draw is worth.
        numbers: N_k, the sum of w_n over the draws from state k.
        start: a guess of ℓ.

    >>> u = jnp.array([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])  # two draws of each of two states
    >>> fit = solve(u, jnp.ones(4), jnp.array([2.0, 2.0]), jnp.zeros(2))
    >>> bool(abs(fit.log_partition[1] + 0.5) < 1e-6)  # the share of state 1 in all draws has to be 2
    True
    """
    log_numbers, root = jnp.log(numbers), jnp.sqrt(measure)
    epsilon = jnp.finfo(reduced.dtype).eps
    tolerance = jnp.sqrt(epsilon)

    def point(log_partition):
        _, shares = _shares(reduced, log_numbers - log_partition)
        shares = shares * root[None]
        cross = matmul(shares, shares.T)
        sums = cross.sum(axis=1)
        gradient = (numbers - sums).at[0].set(0)
        voltages = _voltages(cross, numbers)
        step = -matmul(voltages, gradient)
        length = jnp.sqrt(jnp.maximum(-jnp.sum(gradient * step), 0))
        least = 4 * epsilon * jnp.sqrt(jnp.sum(numbers**2 * jnp.diagonal(voltages)))
        consistent = log_partition + jnp.log(jnp.maximum(sums, jnp.finfo(sums.dtype).tiny)) - log_numbers
        share = jnp.ones_like(length)
        return _Point(
            log_partition, gradient, cross, step, length, least, share, consistent - consistent[0], length > FAR
        )

    def end(now, share):
        moved = now.log_partition + share * now.step
        return moved - moved[0]

    def advance(now):
        new = point(jnp.where(now.cautious, now.consistent, end(now, now.share)))
        before, after = now.length**2, jnp.sum(new.gradient * now.step)
        good = now.cautious | (after <= jnp.where(now.length > FAR, 0, before / 2))
        # where a straight line through both slopes is zero
        shorter = jnp.where(jnp.isfinite(after), jnp.clip(before / (before + after), 0.1, 0.5), 0.1)
        new = new._replace(cautious=new.cautious & ~now.cautious)
        return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, now._replace(share=now.share * shorter))

    def done(now):
        small = now.length <= jnp.maximum(tolerance, now.least)
        return small | ((now.share < 1) & (now.length <= NEAR)) | ~jnp.isfinite(now.length)

    last, steps, _ = iterate_until(advance, point(start - start[0]), done, MAX_STEPS)
    finished = last.length <= jnp.maximum(NEAR, last.least)
    log_partition = jnp.where(finished, end(last, 1), last.log_partition)
    total, shares = _shares(reduced, log_numbers - log_partition)
    voltages = _voltages(last.cross, numbers)
    return Fit(log_partition, shares, -total, voltages, _overlaps(voltages, numbers), steps, finished)


def _shares(reduced, offsets):
    """log Σ_k exp(offset_k - u_k) of each draw, and the share of each state in it."""
    terms = offsets[:, None] - reduced
    top = jnp.max(terms, axis=0)
    terms = jnp.exp(terms - top[None])
    total = jnp.sum(terms, axis=0)
    return top + jnp.log(total), terms / total[None]


def _voltages(cross, numbers):
    """The inverse of the grounded Laplacian, framed by zeros.

    A conductance to the ground, small against those that count, keeps it finite where states are not connected.
    """
    states = len(numbers)
    apart = jnp.where(jnp.eye(states, dtype=bool), 0, cross)
    leak = jnp.maximum(1e-4 * LEAST_SHARED / states, 4 * jnp.finfo(cross.dtype).eps * numbers.max())
    laplacian = jnp.diag(apart.sum(axis=1) + leak) - apart
    inverse = _inverse(laplacian[1:, 1:])
    return jnp.zeros_like(cross).at[1:, 1:].set((inverse + inverse.T) / 2)


@jax.jit
def _inverse(matrix):
    """The inverse of a positive definite matrix, by Gauss-Jordan elimination of one state after another.

    It is not LAPACK's, whose batched calls wait for work on the threads on which they run: on a CPU with two threads a
    program with two estimates under vmap was seen to stop for ever.
    """
    states = jnp.arange(len(matrix), dtype=jnp.int32)

    def eliminate(place, matrix):
        here = states == place
        row, column, pivot = matrix[place], matrix[:, place], matrix[place, place]
        rest = matrix - jnp.outer(column, row / pivot)
        edge = jnp.where(here[None], -column[:, None], row[None]) / pivot
        inside = ~here[:, None] & ~here[None]
        return jnp.where(inside, rest, jnp.where(here[:, None] & here[None], 1 / pivot, edge))

    return jax.lax.fori_loop(0, len(matrix), eliminate, matrix)


def _overlaps(voltages, numbers):
    """Whether no gap in the voltages of a current from a state to state 0 shows a cut with too few shared draws."""

    def one(voltage):
        order = jnp.argsort(voltage)
        below = jnp.cumsum(numbers[order])[:-1]
        intrinsic = 1 / below + 1 / (numbers.sum() - below)
        return jnp.max(jnp.diff(voltage[order]) - intrinsic) <= 1 / LEAST_SHARED

    return jax.vmap(one)(voltages).at[0].set(True)


def contrast_variance(fit: Fit, measure: Float[Array, " draws"], influence: Float[Array, "draws"]) -> Float[Array, ""]:
    """The asymptotic variance of Σ_n w_n d_n, where d_n says how a mean over the mixture changes with draw n.

        Var = Σ_n w_n d_n² + yᵀ V y,    y_k = Σ_n w_n p_k(x_n) d_n,    V the voltages

    The influences of a contrast, such as log Z_j - log Z_k or a mean, sum to zero.

    Shirts and Chodera (2008), eq. D2, by the Woodbury identity.

    >>> u = jnp.array([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    >>> fit = solve(u, jnp.ones(4), jnp.array([2.0, 2.0]), jnp.zeros(2))
    >>> weights = fit.shares / jnp.array([[2.0], [2.0]])
    >>> variance = contrast_variance(fit, jnp.ones(4), weights[1] - weights[0])
    >>> bool(abs(variance / (fit.voltages[1, 1] - 1) - 1) < 1e-2)
    True
    """
    weighted = measure * influence
    flow = matmul(fit.shares, weighted)
    return jnp.sum(weighted * influence) + flow @ matmul(fit.voltages, flow)
