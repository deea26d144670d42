"""The group `sparse`: exact codes, learned codes, dictionaries, convolutional codes. A unit of work: a patch, a step.

A sparse code counts by its objective alone, ½‖y - Wz‖² + λ‖z‖₁ in double precision. Every side takes the loosest
tolerance of its own at which the mean over all patches is within the asked relative suboptimality; the truth is the
least mean that a long run of ours reaches.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from benchmarks import convolutional_coding, dictionary_learning, learned_coding, patches
from benchmarks.runner import WIDE, Case, Outcome, Side
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes.coordinate import solve_batch

WEIGHT = patches.WEIGHT
LOOPS = "xla_cpu_small_while_loop_byte_threshold"

# From loose to tight, in each package's own sense.
OURS = (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 7e-3, 5e-3, 3e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)
SPAMS = (1.0, 0.5, 0.3, 0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 7e-3, 5e-3, 3e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5)
OTHERS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)

Coder = Callable[[np.ndarray, np.ndarray, float], Callable[[], np.ndarray]]
"""`coder(dictionary, data, tolerance)` prepares; what it returns codes the data: (samples, atoms)."""


class Work(NamedTuple):
    """One problem, and how exact its codes have to be."""

    atoms: int
    count: int
    unit: bool
    """Whether every patch is scaled to length one."""
    suboptimality: float

    def dictionary(self) -> np.ndarray:
        """Its columns are the atoms."""
        return patches.dictionary(self.atoms)

    def data(self) -> np.ndarray:
        """A patch a row."""
        return patches.patches(self.count, self.unit)


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    count, sizes = (200, (64,)) if quick else (10_000, (256, 512))
    codes = [
        _codes(Work(atoms, count, unit, suboptimality))
        for unit in (True, False)
        for atoms in sizes
        for suboptimality in (1e-3, 1e-5)
    ]
    return [
        *codes,
        *learned_coding.cases(quick),
        dictionary_learning.case(quick),
        *convolutional_coding.cases(quick),
    ]


def _codes(work: Work) -> Case:
    @cache
    def least() -> float:
        exact = _ours(work.dictionary(), work.data(), 1e-6)()
        return _energy(work.dictionary(), work.data(), exact)

    peers: dict[str, tuple[str, str, Coder, Sequence[float], int]] = {
        "spams": ("spams", "spams-bin", _peer("spams_codes", "coordinate_descent"), SPAMS, 1),
        "spams:lars": ("spams", "spams-bin", _peer("spams_codes", "least_angle"), (0.0,), 1),
        "sklearn": ("sklearn", "scikit-learn", _peer("sklearn_codes", "gram_lasso"), OTHERS, 1),
        # one call a patch, so that a part of the patches is enough
        "celer": ("celer", "celer", _peer("celer_codes", "lasso"), OTHERS, 50),
    }
    missing = tuple(sorted({package for package, *_ in peers.values() if not importlib.util.find_spec(package)}))
    names = {"spams": "spams, coordinate descent", "spams:lars": "spams, LARS", "sklearn": "scikit-learn, Gram Lasso"}
    sides = {
        name: _side(work, least, coder, ladder, part, version(made), names.get(name, ""))
        for name, (package, made, coder, ladder, part) in peers.items()
        if package not in missing
    }

    def agree(ours: Outcome, peer: Outcome) -> None:
        assert ours.result <= work.suboptimality, f"ours is {ours.result:.1e} above the least energy"
        # LARS, which has no tolerance, is 3e-4 above in float32
        assert peer.result <= max(work.suboptimality, 1e-3), f"{peer.result:.1e} above the least energy"

    flags = "loops in one kernel" if LOOPS in os.environ.get("XLA_FLAGS", "") else "default XLA flags"
    patch = f"whitened 12 x 12 patches of scikit-image's pictures, {'length one' if work.unit else 'variance 0.1'}"
    note = f"lambda = {WEIGHT}; {patch}; {flags}"
    name = f"codes, {work.count:,} {'unit' if work.unit else 'variance 0.1'} patches, {work.atoms} atoms, "
    ours = _side(work, least, _ours, OURS, 1)
    return Case(f"{name}{work.suboptimality:g}", "patch", ours, sides, agree, note, missing)


def _side(
    work: Work, least: Callable[[], float], coder: Coder, ladder: Sequence[float], part: int, made="", name=""
) -> Side:
    """Prepared at the loosest tolerance of the ladder that is exact enough; on every `part`-th patch."""

    def prepare():
        dictionary, data = work.dictionary(), work.data()[::part]
        truth = least() if part == 1 else _energy(dictionary, data, _ours(dictionary, data, 1e-6)())
        for tolerance in ladder:
            run = coder(dictionary, data, tolerance)
            energy = _energy(dictionary, data, run())
            outcome = Outcome(energy / truth - 1, energy)
            if outcome.result <= work.suboptimality:
                break

        def call():
            run()
            return outcome

        return call

    return Side(prepare, made, len(range(0, work.count, part)), name)


def _ours(dictionary: np.ndarray, data: np.ndarray, tolerance: float) -> Callable[[], np.ndarray]:
    function = _compiled_coder(dictionary.shape[1], len(data))
    arguments = (jnp.asarray(dictionary), jnp.asarray(data), jnp.float32(tolerance))
    return lambda: np.asarray(function(*arguments))


@cache
def _compiled_coder(atoms: int, count: int):
    """One compilation a shape: the tolerance is an argument."""
    shapes = [(144, atoms), (count, 144), ()]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    code = lambda dictionary, data, tolerance: (
        solve_batch(Params(dictionary), l1(WEIGHT), data, tolerance=tolerance).value
    )
    return jax.jit(code, compiler_options=WIDE).lower(*arguments).compile()


def _peer(module: str, function: str) -> Coder:
    def coder(dictionary, data, tolerance):
        peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)
        return peer(dictionary, data, WEIGHT, tolerance)

    return coder


def _energy(dictionary: np.ndarray, data: np.ndarray, codes: Any) -> float:
    codes = np.asarray(codes.toarray().T if scipy.sparse.issparse(codes) else codes, np.float64)
    residual = data - codes @ dictionary.T.astype(np.float64)
    return float((np.square(residual).sum(axis=1) / 2 + WEIGHT * np.abs(codes).sum(axis=1)).mean())
