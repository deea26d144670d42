"""What a search for the code of one observation works on, and what it knows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ebmjax.checks import as_float, check_record
from ebmjax.energies.regularizers import Regularizer
from ebmjax.minimize.codes.certificate import RIGHT
from ebmjax.numerics import largest_magnitude, matmul
from ebmjax.records import record
from ebmjax.types import Scalar


@record
class Atoms(NamedTuple):
    """A dictionary in a unit in which its largest entries are near 1, and its products."""

    dictionary: Float[Array, "observed atoms"]
    """W."""
    rows: Float[Array, "atoms observed"]
    """Wᵀ."""
    gram: Float[Array, "atoms atoms"]
    """WᵀW."""
    inverse: Float[Array, " atoms"]
    """1 over the diagonal of WᵀW, 0 where that is 0."""


@record
class Observed(NamedTuple):
    """One observation in a unit in which its largest entries are near 1, and its products."""

    y: Float[Array, " observed"]
    target: Float[Array, " atoms"]
    """Wᵀy."""
    square: Float[Array, ""]
    """‖y‖²."""
    slope_off: Float[Array, ""]
    """How far rounding may put a correlation off."""
    least: Float[Array, ""]
    """Moves below this are rounding."""


@record
class Problem(NamedTuple):
    """What is minimized: ½‖y - Wz‖² + R(z)."""

    atoms: Atoms
    observed: Observed
    regularizer: Regularizer
    """A sum over coefficients: `prox` and `conjugate` of arrays, `value` of each coefficient."""


@record
class Found(NamedTuple):
    """A code, and what is known of it."""

    code: Float[Array, " atoms"]
    energy: Float[Array, ""]
    off: Float[Array, ""]
    """How far rounding may have put the energy off."""
    gap: Float[Array, ""]
    """Energy - least energy ≤ gap + off."""
    steps: Int[Array, ""]
    """The rounds in which a coefficient moved."""
    finite: Bool[Array, ""]


def close(found: Found, tolerance: Scalar) -> Bool[Array, "..."]:
    """Whether the gap is small enough, rounding included. Raises ValueError for anything but a `Found`.

    >>> energy, off, gap = jnp.array([[1.0, 1e-8, 1e-4], [1.0, 1e-8, 1e-2]]).T
    >>> close(Found(None, energy, off, gap, None, None), 1e-3).tolist()
    [True, False]
    """
    check_record("found", found, Found)
    tolerance = as_float("tolerance", tolerance, ()).astype(found.gap.dtype)
    return (found.gap + found.off <= tolerance * found.energy) & (found.gap < jnp.inf)


def certain(found: Found, tolerance: Scalar) -> Bool[Array, "..."]:
    """Whether a code is `close`, and its energy right to a relative 1e-6.

    Raises ValueError for anything but a `Found`.

    >>> energy, off, gap = jnp.array([[1.0, 1e-8, 1e-4], [1.0, 1e-5, 1e-4]]).T
    >>> certain(Found(None, energy, off, gap, None, None), 1e-3).tolist()
    [True, False]
    """
    return close(found, tolerance) & (found.off <= RIGHT * found.energy)


def atoms_of(dictionary: Float[Array, "observed atoms"]) -> Atoms:
    """A dictionary with its products.

    >>> atoms_of(jnp.array([[2.0, 0.0]])).inverse.tolist()
    [0.25, 0.0]
    """
    dictionary = as_float("dictionary", dictionary, (None, None))
    gram = matmul(dictionary.T, dictionary)
    curvature = jnp.diagonal(gram)
    inverse = jnp.where(curvature > 0, 1 / jnp.where(curvature > 0, curvature, 1), 0)
    return Atoms(dictionary, dictionary.T, gram, inverse)


def observed(atoms: Atoms, y: Float[Array, " observed"]) -> Observed:
    """An observation with its products. Raises ValueError for anything but `Atoms`, and for a y of another length.

    >>> observed(atoms_of(jnp.eye(2)), jnp.array([2.0, 0.25])).square.item()
    4.0625
    """
    check_record("atoms", atoms, Atoms)
    y = as_float("y", y, atoms.dictionary.shape[:1])
    target = matmul(y, atoms.dictionary)
    return Observed(y, target, jnp.sum(jnp.square(y)), *limits(atoms.inverse, target))


def begun(problem: Problem, start: Float[Array, " atoms"] | None) -> Found:
    """What is known before the first pass: nothing but the code.

    Args:
        problem: the observation and its dictionary.
        start: the code, None for zeros; it is projected to where the regularizer is finite.

    Raises ValueError for a problem that is no `Problem`.

    >>> from ebmjax.energies.regularizers import l1
    >>> atoms, y = atoms_of(jnp.eye(2)), jnp.array([2.0, 0.25])
    >>> found = begun(Problem(atoms, observed(atoms, y), l1(0.5)), None)
    >>> found.code.tolist(), float(found.gap)
    ([0.0, 0.0], inf)
    """
    check_record("problem", problem, Problem)
    inf = jnp.full((), jnp.inf, problem.observed.target.dtype)
    code = jnp.zeros_like(problem.observed.target)
    if start is not None:
        code = jax.vmap(lambda z: problem.regularizer.prox(z, jnp.zeros((), z.dtype)))(start)
    return Found(code, inf, inf, inf, jnp.int32(0), jnp.bool_(True))


def proportional(problem: Problem) -> tuple[Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """R(1), R(-1), and whether R grows in proportion to a coefficient, as `l1` does.

    Raises ValueError for anything but a `Problem`.

    >>> from ebmjax.energies.regularizers import elastic_net, l1
    >>> atoms = atoms_of(jnp.eye(2))
    >>> each = lambda regularizer: regularizer._replace(value=jax.vmap(regularizer.value))
    >>> of = lambda regularizer: Problem(atoms, observed(atoms, jnp.ones(2)), each(regularizer))
    >>> [bool(proportional(of(one))[2]) for one in (l1(0.5), elastic_net(0.5, 1.0))]
    [True, False]
    """
    check_record("problem", problem, Problem)
    codes = jnp.array([1.0, 2.0, -1.0, -2.0], problem.observed.target.dtype)
    up, twice_up, down, twice_down = jnp.asarray(problem.regularizer.value(codes)).astype(codes.dtype)
    grows = lambda once, twice: (once > 0) & ((twice == 2 * once) | (jnp.abs(twice - 2 * once) < 1e-5 * once))
    return up, down, grows(up, twice_up) & grows(down, twice_down) & (up < jnp.inf)


def limits(
    inverse: Float[Array, " atoms"], target: Float[Array, " atoms"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far rounding may put a correlation off, and the size of moves that are rounding.

    Args:
        inverse: 1/‖w_j‖².
        target: the largest correlations that there are in the search.

    >>> [float(limit) < 1e-5 for limit in limits(jnp.ones(2), jnp.ones(2))]
    [True, True]
    """
    target = as_float("target", target, (None,))
    inverse = as_float("inverse", inverse, target.shape)
    eps = jnp.finfo(target.dtype).eps
    # each update of a correlation rounds it by a part of the largest
    return 4 * eps * largest_magnitude(target), 2 * eps * largest_magnitude(target * inverse)
