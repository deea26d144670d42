"""A million patches of natural pictures, coded in little memory

The sparse codes of a million patches would take a gigabyte if they were kept with their zeros, but a summary of them
fits on a page. Here the patches are processed **in chunks**: each chunk is drawn, coded exactly by one compiled call,
counted and then dropped. The memory of the process depends on the size of a chunk, not on the number of patches.

    E(y, z) = ½‖y - Wz‖² + λ‖z‖₁

The dictionary W is learned first, from a smaller sample. Each code has a duality gap, which bounds how far its energy
is above the least one; the largest gap is reported.
"""

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes import coordinate
from ebmjax.types import CONVERGED, Solution
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive
from experiments.application.report import Report
from experiments.codes.learned_dictionaries import EXACT, learn, pictures, show_atoms
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots

if sys.platform != "win32":
    import resource

MEGABYTE = 1e6


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """The pictures: skimage (nine, part of scikit-image), kodak or bsd (both read from the folder in EBMJAX_DATA)."""
    images: Path | None = None
    """A folder of your own pictures, PNG or JPEG, grey or in colour; they take the place of --pictures."""
    count: Count = 1_000_000
    """Patches to code."""
    chunk: Count = 4_000
    """Patches in memory at once."""
    size: Annotated[int, AtLeast(4)] = 12
    """Rows (and columns) of a patch."""
    atoms: Count = 256
    """Atoms of the dictionary."""
    weight: Positive = 0.3
    """λ, in units of the whitened pictures, whose standard deviation is 0.32."""
    tolerance: Positive = EXACT
    """Largest duality gap of a code, relative to its energy."""
    samples: int = 30_000
    """Patches to learn the dictionary from."""
    batch_size: Count = 250
    """Patches in an update of the dictionary."""
    epochs: Count = 2
    """Passes over the patches that the dictionary is learned from."""

    def __post_init__(self):
        options.check(self)
        least = max(self.atoms, self.batch_size)
        wanted = f"at least {least}, the larger of --atoms and --batch-size"
        options.require(self.samples >= least, "samples", self.samples, wanted)


QUICK = Config(count=4_000, chunk=500, size=8, atoms=64, samples=4_000)


class Pairs(NamedTuple):
    """Codes without their zeros, sample after sample."""

    counts: Int[np.ndarray, " samples"]
    """How many coefficients of each sample are not zero."""
    atoms: Int[np.ndarray, " nonzero"]
    """The atoms of these coefficients."""
    values: Float[np.ndarray, " nonzero"]
    """The values of these coefficients."""


class Tally(NamedTuple):
    """Sums and extremes of all codes so far. Their size does not depend on the number of patches."""

    patches: int
    """Patches coded so far."""
    nonzero: Int[np.ndarray, " counts"]
    """Number of codes with 0, 1, 2, … coefficients that are not zero."""
    used: Int[np.ndarray, " atoms"]
    """Number of codes that use each atom."""
    energy: float
    """Sum of E."""
    misfit: float
    """Sum of ½‖y - Wz‖²."""
    power: float
    """Sum of ½‖y‖²."""
    worst_gap: float
    """Largest duality gap, relative to the energy."""
    converged: int
    """Number of codes that reached the tolerance."""
    pair_bytes: int
    """Bytes that all codes would take without their zeros."""


class Mark(NamedTuple):
    """A measurement after a chunk."""

    patches: int
    """Patches coded so far."""
    seconds: float
    """Time since the first chunk was begun."""
    peak: float
    """Largest memory of the process so far, in bytes."""
    pair_bytes: int
    """Bytes that all codes so far would take without their zeros."""


def _read(config: Config) -> list[np.ndarray]:
    if config.images is None:
        return natural.load(config.pictures)
    return natural.own_grey(config.images, config.size + 2 * natural.BORDER)


def run(config: Config, report: Report) -> None:
    """Learn a dictionary, code the patches in chunks, and draw what was counted."""
    learn_key, data_key, code_key = jax.random.split(report.key(), 3)
    with report.stage("reading and whitening the pictures"):
        whitened = [natural.whiten(picture) for picture in _read(config)]
    with report.stage(f"learning {config.atoms} atoms from {config.samples:,} patches"):
        data = jnp.asarray(natural.patches(data_key, whitened, config.size, config.samples, natural.BORDER))
        learned = learn(report, learn_key, data, config.atoms, l1(config.weight), config.batch_size, config.epochs, {})
        del data
    before = peak_memory()
    tally, marks = _code(config, report, code_key, whitened, learned.params)
    places = sum(
        (rows - 2 * natural.BORDER) * (columns - 2 * natural.BORDER) for rows, columns in (p.shape for p in whitened)
    )
    _tell(config, report, tally, marks, before, places)
    _draw_atoms(config, report, learned.params, tally)
    _draw_counts(config, report, tally)
    _draw_memory(config, report, marks, before)


def _code(
    config: Config, report: Report, key: Key[Array, ""], whitened: list[np.ndarray], params: Params
) -> tuple[Tally, list[Mark]]:
    encode = jax.jit(lambda params, y: coordinate.solve_batch(params, l1(config.weight), y, tolerance=config.tolerance))
    tally, marks = _nothing(config), []
    chunks = -(-config.count // config.chunk)
    start = time.perf_counter()
    with report.bar(f"coding {config.count:,} patches", config.count) as advance:
        for chunk_key in jax.random.split(key, chunks):
            # the last chunk is drawn in full and then cut: one shape, hence one compilation
            data = natural.patches(chunk_key, whitened, config.size, config.chunk, natural.BORDER)
            solution = jax.tree.map(np.asarray, encode(params, data))
            part = min(config.chunk, config.count - tally.patches)
            cut = jax.tree.map(lambda leaf, part=part: leaf[:part], solution)
            tally = counted(tally, data[:part], cut, config.weight)
            marks.append(Mark(tally.patches, time.perf_counter() - start, peak_memory(), tally.pair_bytes))
            report.metrics(step=len(marks), **marks[-1]._asdict())
            advance(part)
            del data, solution, cut  # before the next chunk is allocated
    return tally, marks


def _nothing(config: Config) -> Tally:
    zeros = lambda count: np.zeros(count, np.int64)
    return Tally(0, zeros(config.atoms + 1), zeros(config.atoms), 0.0, 0.0, 0.0, 0.0, 0, 0)


def counted(tally: Tally, data: Float[np.ndarray, "samples pixels"], solution: Solution, weight: float) -> Tally:
    """The tally with more patches added, whose codes are the solution for the weight λ."""
    pairs, energy = packed(solution.value), solution.energy.astype(np.float64)
    return Tally(
        tally.patches + len(data),
        tally.nonzero + np.bincount(pairs.counts, minlength=len(tally.nonzero)),
        tally.used + np.bincount(pairs.atoms, minlength=len(tally.used)),
        tally.energy + float(energy.sum()),
        tally.misfit + float(energy.sum()) - weight * float(np.abs(pairs.values).sum(dtype=np.float64)),
        tally.power + 0.5 * float(np.square(data).sum(dtype=np.float64)),
        max(tally.worst_gap, float(np.max(solution.gap / np.maximum(energy, 1e-12)))),
        tally.converged + int(np.sum(solution.result == CONVERGED)),
        tally.pair_bytes + sum(part.nbytes for part in pairs),
    )


def packed(codes: Float[np.ndarray, "samples atoms"]) -> Pairs:
    """Codes without their zeros; counts and atoms have the smallest integer type that is large enough.

    >>> [part.tolist() for part in packed(np.array([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]]))]
    [[1, 0, 2], [1, 0, 1], [2.0, 3.0, 4.0]]
    """
    samples, atoms = np.nonzero(codes)
    counts, width = np.bincount(samples, minlength=len(codes)), codes.shape[1]
    return Pairs(
        counts.astype(np.min_scalar_type(width)),
        atoms.astype(np.min_scalar_type(width - 1)),
        codes[samples, atoms],
    )


def peak_memory() -> float:
    """The largest memory of this process so far, in bytes; NaN under Windows, which has no `resource`."""
    if sys.platform == "win32":
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)  # elsewhere in KiB


def _tell(config: Config, report: Report, tally: Tally, marks: list[Mark], before: float, places: int) -> None:
    count, dense, raw = tally.patches, _dense(config), 4 * config.size**2
    mean = float(tally.nonzero @ np.arange(config.atoms + 1)) / count
    rows = []
    for share in (0.01, 0.1, 0.5, 1.0):
        mark = next(mark for mark in marks if mark.patches >= share * count)
        rows.append(
            (
                f"{mark.patches:,}",
                f"{mark.peak / MEGABYTE:.0f}",
                f"{mark.patches * dense / MEGABYTE:.1f}",
                f"{mark.pair_bytes / MEGABYTE:.1f}",
            )
        )
    report.table(
        "Memory in MB: the largest memory of the process so far, and what the codes would take if they were kept",
        ("patches coded", "peak of the process", "codes, if kept", "codes without zeros, if kept"),
        list(dict.fromkeys(rows)),
    )
    report.table(
        f"The codes of {count:,} patches",
        ("", "value"),
        [
            ("mean energy E", tally.energy / count),
            ("explained variance, 1 - Σ‖y - Wz‖² / Σ‖y‖²", f"{1 - tally.misfit / tally.power:.4f}"),
            (f"mean number of nonzero coefficients, of {config.atoms}", f"{mean:.2f}"),
            ("codes that reached the tolerance", f"{tally.converged:,}"),
            ("largest duality gap / energy", tally.worst_gap),
            ("bytes of a code without its zeros, mean", f"{tally.pair_bytes / count:.0f}"),
            ("bytes of a code with its zeros", dense),
            ("bytes of a patch", raw),
            ("atoms that no patch uses", int(np.sum(tally.used == 0))),
        ],
    )
    first = marks[0]
    rest = marks[-1].seconds - first.seconds
    report.summary(
        patches=count,
        patches_per_second=(count - first.patches) / rest if rest > 0 else math.nan,
        nonzero=mean,
        explained_variance=1 - tally.misfit / tally.power,
        converged=tally.converged / count,
        worst_relative_gap=tally.worst_gap,
        compression=count * dense / tally.pair_bytes,
        peak_megabytes_before=before / MEGABYTE,
        peak_megabytes_first_chunk=first.peak / MEGABYTE,
        peak_megabytes=marks[-1].peak / MEGABYTE,
    )
    report.text(
        f"Patches are drawn with replacement from the {places:,} places of the pictures. A nonzero coefficient takes "
        f"{np.min_scalar_type(config.atoms - 1).itemsize + 4} bytes, for its atom and its value. The patches per "
        "second include drawing and counting, but not the first chunk, during which the program is compiled."
    )


def _dense(config: Config) -> int:
    """Bytes of one code with its zeros."""
    return 4 * config.atoms


def _draw_atoms(config: Config, report: Report, params: Params, tally: Tally) -> None:
    order = np.argsort(-tally.used, kind="stable")
    across = 2 ** math.ceil(math.log2(config.atoms) / 2)
    figure, axes = plots.one(8.4, 8.4 * math.ceil(config.atoms / across) / across + 0.4)
    show_atoms(axes, pictures(params, config.size, config.size)[order], across, "Atoms, from most to least used")
    report.figure(
        "atoms",
        figure,
        f"All atoms in the order of their use, row by row, from the one that {_share(tally.used.max(), tally)} of the "
        f"patches use to the one that {_share(tally.used.min(), tally)} use. Middle grey is zero. Each atom has a "
        "scale of its own, and its sign has no meaning.",
    )


def _draw_counts(config: Config, report: Report, tally: Tally) -> None:
    figure, axes = plots.panels(1, 2, width=4.8, height=3.6)
    left, right = axes[0]
    last = int(np.flatnonzero(tally.nonzero)[-1])
    counts = np.arange(last + 1)
    left.bar(counts, 100 * tally.nonzero[: last + 1] / tally.patches, width=1.0, color=plots.PALETTE["blue"])
    mean = float(tally.nonzero @ np.arange(config.atoms + 1)) / tally.patches
    left.axvline(mean, color=plots.PALETTE["vermillion"], linewidth=1.5, label=f"mean {mean:.1f}")
    left.legend()
    plots.label(left, "nonzero coefficients", "patches (%)", f"Nonzero coefficients, of {config.atoms}")
    right.plot(np.arange(1, config.atoms + 1), 100 * np.sort(tally.used)[::-1] / tally.patches)
    right.set_ylim(bottom=0)
    plots.label(right, "rank of the atom", "patches that use it (%)", "Use of each atom")
    report.figure(
        "nonzeros",
        figure,
        f"Left: how many of the {config.atoms} coefficients of a patch are not zero. Smooth parts of a picture need "
        "few coefficients, texture needs many. Right: the share of the patches that use an atom, from the most used "
        "atom to the least used.",
    )


def _draw_memory(config: Config, report: Report, marks: list[Mark], before: float) -> None:
    figure, axes = plots.one(6.4, 4.2)
    patches = np.array([mark.patches for mark in marks])
    axes.plot(patches, patches * _dense(config) / MEGABYTE, color=plots.PALETTE["orange"], label="codes, if kept")
    axes.plot(
        patches,
        [mark.pair_bytes / MEGABYTE for mark in marks],
        color=plots.PALETTE["green"],
        label="codes without zeros, if kept",
    )
    axes.plot(
        patches, [mark.peak / MEGABYTE for mark in marks], color=plots.PALETTE["blue"], label="the process, peak so far"
    )
    axes.axhline(
        before / MEGABYTE, color="#777777", linestyle=":", linewidth=1.2, label="the process, peak before coding"
    )
    gain, count = (marks[-1].peak - marks[0].peak) / MEGABYTE, marks[-1].patches
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend()
    plots.label(axes, "patches coded", "memory (MB)", "Memory")
    report.figure(
        "memory",
        figure,
        "The largest memory of the process so far (with Python, JAX, the compiler and the pictures), and what the "
        "codes alone would take if they were kept. From the first chunk to the last the memory of the process grew by "
        f"{gain:.0f} MB. The codes would take {count * _dense(config) / MEGABYTE:,.0f} MB.",
    )


def _share(used: int, tally: Tally) -> str:
    return f"{100 * used / tally.patches:.2g}%"
