"""A million patches of natural pictures, coded in little memory

Sparse codes are mostly zeros. Written out, those of a million patches fill a gigabyte; what one wants to know of them
fits on a page. So the patches are drawn, coded exactly by one compiled call, counted and forgotten, **a chunk at a
time**: the memory that the process takes depends on the chunk and not on how many there are.

    E(y, z) = ½‖y - Wz‖² + λ‖z‖₁

The dictionary W is learned beforehand from a smaller draw. Every code carries its duality gap, which bounds how far it
may be from the least energy: the worst of all is reported.
"""

import math
import resource
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes import coordinate
from ebmjax.random_bits import unrolled
from ebmjax.types import CONVERGED, Solution
from experiments.application.report import Report
from experiments.codes.learned_dictionaries import EXACT, learn, pictures, show_atoms
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots

MEGABYTE = 1e6


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """The pictures: skimage (nine that come with a package), kodak or bsd (from the folder of EBMJAX_DATA)."""
    count: int = 1_000_000
    """Patches to code."""
    chunk: int = 4_000
    """Patches that are in memory at once."""
    size: int = 12
    """Pixels along the side of a patch."""
    atoms: int = 256
    """Atoms of the dictionary."""
    weight: float = 0.3
    """λ, in units of the whitened pictures, whose standard deviation is 0.32."""
    tolerance: float = EXACT
    """Of a code: its duality gap as a part of its energy."""
    samples: int = 30_000
    """Patches to learn the dictionary from."""
    batch_size: int = 250
    """Patches an update of the dictionary."""
    epochs: int = 2
    """Passes over the patches to learn from."""

    def __post_init__(self):
        for name, least in (("count", 1), ("chunk", 1), ("size", 4), ("atoms", 1), ("batch_size", 1), ("epochs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least {least}")
        if self.samples < max(self.atoms, self.batch_size):
            raise ValueError(f"--samples is {self.samples}, expected at least as many as --atoms and --batch-size")
        for name in ("weight", "tolerance"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"--{name} is {getattr(self, name)}, expected a finite number above 0")


QUICK = Config(count=4_000, chunk=500, size=8, atoms=64, samples=4_000)


class Pairs(NamedTuple):
    """Codes without their zeros: how many of each sample are left, and their atoms and values, sample after sample."""

    counts: Int[np.ndarray, " samples"]
    atoms: Int[np.ndarray, " nonzero"]
    values: Float[np.ndarray, " nonzero"]


class Tally(NamedTuple):
    """What is kept of all codes so far: sums and extremes, of a size that does not depend on how many there are."""

    patches: int
    nonzero: Int[np.ndarray, " counts"]
    """Codes with 0, 1, 2 … coefficients that are not zero."""
    used: Int[np.ndarray, " atoms"]
    """Codes in which each atom has a part."""
    energy: float
    misfit: float
    power: float
    """Sums of E, ½‖y - Wz‖² and ½‖y‖²."""
    worst_gap: float
    """Largest duality gap, as a part of the energy."""
    converged: int
    pair_bytes: int
    """What all codes would take without their zeros."""


class Mark(NamedTuple):
    """How things stood after a chunk."""

    patches: int
    seconds: float
    peak: float
    """Bytes, the most that the process has had in memory so far."""
    pair_bytes: int


def run(config: Config, report: Report) -> None:
    """Learn a dictionary, code with it, count."""
    learn_key, data_key, code_key = jax.random.split(unrolled(report.key()), 3)
    with report.stage("reading and whitening the pictures"):
        whitened = [natural.whiten(picture) for picture in natural.load(config.pictures)]
    with report.stage(f"learning {config.atoms} atoms from {config.samples:,} patches"):
        data = jnp.asarray(natural.patches(data_key, whitened, config.size, config.samples, natural.BORDER))
        learned = learn(report, learn_key, data, config.atoms, l1(config.weight), config.batch_size, config.epochs)
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
            # the last chunk is drawn whole too and then cut: one shape, one program
            data = natural.patches(chunk_key, whitened, config.size, config.chunk, natural.BORDER)
            solution = jax.tree.map(np.asarray, encode(params, data))
            part = min(config.chunk, config.count - tally.patches)
            cut = jax.tree.map(lambda leaf, part=part: leaf[:part], solution)
            tally = counted(tally, data[:part], cut, config.weight)
            marks.append(Mark(tally.patches, time.perf_counter() - start, peak_memory(), tally.pair_bytes))
            report.metrics(step=len(marks), **marks[-1]._asdict())
            advance(part)
            del data, solution, cut  # before the next ones are made
    return tally, marks


def _nothing(config: Config) -> Tally:
    zeros = lambda count: np.zeros(count, np.int64)
    return Tally(0, zeros(config.atoms + 1), zeros(config.atoms), 0.0, 0.0, 0.0, 0.0, 0, 0)


def counted(tally: Tally, data: Float[np.ndarray, "samples pixels"], solution: Solution, weight: float) -> Tally:
    """The tally with some more patches, whose codes were found with the weight λ."""
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
    """Codes without their zeros, in the smallest integers that can count and name the atoms.

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
    """The most memory that this process has held so far, in bytes."""
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
        "Memory in MB: the most that the process has held up to here, and what the codes would take if they were kept",
        ("patches coded", "peak of the process", "codes, if kept", "without zeros, if kept"),
        list(dict.fromkeys(rows)),
    )
    report.table(
        f"The codes of {count:,} patches",
        ("", "value"),
        [
            ("mean energy E", tally.energy / count),
            ("explained variance, 1 - Σ‖y - Wz‖² / Σ‖y‖²", f"{1 - tally.misfit / tally.power:.4f}"),
            (f"mean number of coefficients that are not zero, of {config.atoms}", f"{mean:.2f}"),
            ("converged", f"{tally.converged:,}"),
            ("largest duality gap, as a part of the energy", tally.worst_gap),
            ("bytes of a code without its zeros", f"{tally.pair_bytes / count:.0f}"),
            ("bytes of a code", dense),
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
        f"Patches are drawn with replacement from the {places:,} places that the pictures have. A coefficient that is "
        f"not zero counts {np.min_scalar_type(config.atoms - 1).itemsize + 4} bytes: its atom and its value. Time "
        "includes drawing and counting; the first chunk, with which the program is compiled, is left out of the rate."
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
        f"All atoms, in rows from the one that most patches use ({_share(tally.used.max(), tally)}) to the one that "
        f"fewest do ({_share(tally.used.min(), tally)}). Middle grey is zero; each atom has its own scale, and its "
        "sign means nothing.",
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
    plots.label(left, "coefficients that are not zero", "patches (%)", f"Coefficients in use, of {config.atoms}")
    right.plot(np.arange(1, config.atoms + 1), 100 * np.sort(tally.used)[::-1] / tally.patches)
    right.set_ylim(bottom=0)
    plots.label(right, "atom, from most to least used", "patches that use it (%)", "Use of the atoms")
    report.figure(
        "nonzeros",
        figure,
        f"How many of its {config.atoms} coefficients a patch needs, and in how many patches each atom has a part. "
        "Smooth pieces of a picture need few coefficients, texture many.",
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
        "The most memory that the process has held so far (with Python, JAX, the compiler and the pictures), and what "
        "the codes alone would take, if they were kept. From the first chunk to the last the process gained "
        f"{gain:.0f} MB, and the codes came to {count * _dense(config) / MEGABYTE:,.0f} MB.",
    )


def _share(used: int, tally: Tally) -> str:
    return f"{100 * used / tally.patches:.2g}% of all"
