"""The group `sparse`: exact codes, learned codes, dictionaries, convolutional codes.

Sparse codes are compared by their objective ½‖y - Wz‖² + λ‖z‖₁ in double precision; the unit of work is a patch. Every
side runs with its loosest tolerance at which the mean objective over all patches is within the given relative
suboptimality. The reference is the mean objective of a long run of ours.
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

# Tolerances from loose to tight; each package defines them in its own way.
OURS = (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 7e-3, 5e-3, 3e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)
SPAMS = (1.0, 0.5, 0.3, 0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 7e-3, 5e-3, 3e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5)
OTHERS = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)

Coder = Callable[[np.ndarray, np.ndarray, float, float], Callable[[], np.ndarray]]
"""`coder(dictionary, data, weight, tolerance)` prepares, and returns a callable: the codes (samples, atoms)."""


class Work(NamedTuple):
    """One problem of sparse coding."""

    atoms: int
    """Atoms of the dictionary."""
    count: int
    """Number of patches."""
    unit: bool
    """Whether every patch is scaled to length 1."""
    suboptimality: float
    """Largest relative suboptimality of the mean objective."""
    share: float | None = None
    """λ as a share of the largest weight of these patches, on average; None for λ = `WEIGHT`."""

    def weight(self) -> float:
        """λ."""
        if self.share is None:
            return WEIGHT
        return self.share * float(np.abs(self.data() @ self.dictionary()).max(axis=1).mean())

    def dictionary(self) -> np.ndarray:
        """The dictionary, its columns the atoms."""
        return patches.dictionary(self.atoms)

    def data(self) -> np.ndarray:
        """The patches, one in each row."""
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
    few = 10 if quick else 50
    small = [_small(Work(sizes[0], few, True, 1e-3, share)) for share in (1e-3, 1e-4, 1e-5)]
    return [
        *codes,
        *small,
        *learned_coding.cases(quick),
        dictionary_learning.case(quick),
        *convolutional_coding.cases(quick),
    ]


def _codes(work: Work) -> Case:
    least = _least(work)
    peers: dict[str, tuple[str, str, Coder, Sequence[float], int]] = {
        "spams": ("spams", "spams-bin", _peer("spams_codes", "coordinate_descent"), SPAMS, 1),
        "spams:lars": ("spams", "spams-bin", _peer("spams_codes", "least_angle"), (0.0,), 1),
        "sklearn": ("sklearn", "scikit-learn", _peer("sklearn_codes", "gram_lasso"), OTHERS, 1),
        # one call for each patch, so a part of the patches is enough
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

    name = f"codes, {work.count:,} {'unit' if work.unit else 'variance 0.1'} patches, {work.atoms} atoms, "
    ours = _side(work, least, _ours, OURS, 1)
    return Case(f"{name}{work.suboptimality:g}", "patch", ours, sides, agree, _note(work), missing)


def _small(work: Work) -> Case:
    """Codes at a small weight. The peer is LARS, also in float64: in float32 it does not reach the least energy."""
    least = _least(work)
    here = importlib.util.find_spec("spams") is not None
    kinds = {"spams:lars": ("least_angle", "LARS"), "spams:lars64": ("least_angle_64", "LARS, float64")} if here else {}
    sides = {
        key: _side(work, least, _peer("spams_codes", function), (0.0,), 1, version("spams-bin"), f"spams, {name}")
        for key, (function, name) in kinds.items()
    }

    def agree(ours: Outcome, peer: Outcome) -> None:
        assert ours.result <= work.suboptimality, f"ours is {ours.result:.1e} above the least energy"
        assert peer.result >= -work.suboptimality, f"the peer is {-peer.result:.1e} below ours"

    name = f"codes, {work.count:,} unit patches, {work.atoms} atoms, {work.share:g} of the largest weight"
    ours = _side(work, least, _ours, OURS, 1)
    return Case(name, "patch", ours, sides, agree, _note(work), () if here else ("spams",))


def _least(work: Work) -> Callable[[], float]:
    @cache
    def least() -> float:
        exact = _ours(work.dictionary(), work.data(), work.weight(), 1e-6)()
        return _energy(work.dictionary(), work.data(), exact, work.weight())

    return least


def _note(work: Work) -> str:
    flags = "loops in one kernel" if LOOPS in os.environ.get("XLA_FLAGS", "") else "default XLA flags"
    patch = f"whitened 12 x 12 patches of scikit-image's pictures, {'length 1' if work.unit else 'variance 0.1'}"
    return f"lambda = {work.weight() if work.share is None else 'a share of the largest'}; {patch}; {flags}"


def _side(
    work: Work, least: Callable[[], float], coder: Coder, ladder: Sequence[float], part: int, made="", name=""
) -> Side:
    """A side with the loosest tolerance of the ladder that is exact enough, on every `part`-th patch."""

    def prepare():
        dictionary, data = work.dictionary(), work.data()[::part]
        weight = work.weight()
        truth = least() if part == 1 else _energy(dictionary, data, _ours(dictionary, data, weight, 1e-6)(), weight)
        for tolerance in ladder:
            run = coder(dictionary, data, weight, tolerance)
            energy = _energy(dictionary, data, run(), weight)
            outcome = Outcome(energy / truth - 1, energy)
            if outcome.result <= work.suboptimality:
                break

        def call():
            run()
            return outcome

        return call

    return Side(prepare, made, len(range(0, work.count, part)), name)


def _ours(dictionary: np.ndarray, data: np.ndarray, weight: float, tolerance: float) -> Callable[[], np.ndarray]:
    function = _compiled_coder(dictionary.shape[1], len(data))
    arguments = (jnp.asarray(dictionary), jnp.asarray(data), jnp.float32(weight), jnp.float32(tolerance))
    return lambda: np.asarray(function(*arguments))


@cache
def _compiled_coder(atoms: int, count: int):
    """Compiled once for each shape; the weight and the tolerance are arguments."""
    shapes = [(144, atoms), (count, 144), (), ()]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    code = lambda dictionary, data, weight, tolerance: (
        solve_batch(Params(dictionary), l1(weight), data, tolerance=tolerance).value
    )
    return jax.jit(code, compiler_options=WIDE).lower(*arguments).compile()


def _peer(module: str, function: str) -> Coder:
    def coder(dictionary, data, weight, tolerance):
        return getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)(
            dictionary, data, weight, tolerance
        )

    return coder


def _energy(dictionary: np.ndarray, data: np.ndarray, codes: Any, weight: float) -> float:
    codes = np.asarray(codes.toarray().T if scipy.sparse.issparse(codes) else codes, np.float64)
    residual = data - codes @ dictionary.T.astype(np.float64)
    return float((np.square(residual).sum(axis=1) / 2 + weight * np.abs(codes).sum(axis=1)).mean())
