"""What natural pictures are made of: a dictionary of patches, and its Gabor functions

Pictures are **whitened** (all spatial frequencies up to a cutoff get nearly equal power) and cut into small patches. A
dictionary with more atoms than a patch has pixels is learned from the patches by sparse coding:

    E(y, z) = ½‖y - Wz‖² + λ‖z‖₁

The learning knows nothing of edges, and yet most atoms become pieces of edges: local, oriented waves of one frequency,
like the receptive fields of simple cells in the primary visual cortex. A **Gabor function** is fitted to each atom, to
measure how well this description holds, and which directions, frequencies and forms the atoms have.

Olshausen and Field (1996), "Emergence of simple-cell receptive field properties by learning a sparse code for natural
images"; Ringach (2002), "Spatial structure and symmetry of simple-cell receptive fields in macaque primary visual
cortex", for forms measured in wavelengths.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive
from experiments.application.report import Report
from experiments.codes import gabor
from experiments.codes.learned_dictionaries import (
    Codes,
    Learned,
    code,
    learn,
    learning_curves,
    median_largest_weight,
    pictures,
    plain,
    show_atoms,
)
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots

GOOD = 0.2  # a fit with a smaller relative squared error than this is called good
SHOWN = 20  # atoms that are drawn with their fits


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """The pictures: skimage (nine, part of scikit-image), kodak or bsd (both read from the folder in EBMJAX_DATA)."""
    images: Path | None = None
    """A folder of your own pictures, PNG or JPEG, grey or in colour; they take the place of --pictures."""
    sizes: tuple[Annotated[int, AtLeast(4)], ...] = (12, 16)
    """Rows (and columns) of the patches, one number for each dictionary."""
    atoms: tuple[Count, ...] = (256, 512)
    """Atoms, one number for each dictionary."""
    weight: Positive = 0.3
    """λ, in units of the whitened pictures, whose standard deviation is 0.32."""
    samples: Count = 50_000
    """Patches to learn from."""
    held_out: Count = 5_000
    """Other patches of the same pictures, to measure with."""
    batch_size: Count = 250
    """Patches in an update."""
    epochs: Count = 10
    """Passes over the patches."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.sizes) > 0, "sizes", self.sizes, "at least one number")
        each = len(self.atoms) == len(self.sizes)
        options.require(each, "atoms", self.atoms, f"one number for each of --sizes {self.sizes}")


QUICK = Config(sizes=(10,), atoms=(64,), samples=5_000, held_out=500, epochs=3)


class Result(NamedTuple):
    """One dictionary and its measurements, atoms in the order of their frequencies."""

    size: int
    """Rows and columns of a patch."""
    learned: Learned
    start: sparse_coding.Params
    """The dictionary before learning: its atoms are patches."""
    largest_weight: float
    """Median λ_max over held-out patches."""
    codes: Codes
    """Codes of the held-out patches."""
    fit: gabor.Fit
    """Gabor functions of the atoms."""
    held_out: Float[Array, "patches pixels"]

    @property
    def name(self) -> str:
        """The name in legends and tables."""
        return f"{self.learned.params.dictionary.shape[1]} atoms of {self.size} × {self.size}"


def _read(config: Config) -> list[np.ndarray]:
    if config.images is None:
        return natural.load(config.pictures)
    return natural.own_grey(config.images, max(config.sizes) + 2 * natural.BORDER)


def run(config: Config, report: Report) -> None:
    """Learn the dictionaries, fit Gabor functions and draw both."""
    with report.stage("reading and whitening the pictures"):
        raw = _read(config)
        whitened = [natural.whiten(picture) for picture in raw]
    _draw_whitening(report, config, raw, whitened)
    results = []
    for size, atoms, key in zip(
        config.sizes, config.atoms, jax.random.split(report.key(), len(config.sizes)), strict=True
    ):
        results.append(_learn(config, report, key, whitened, size, atoms))
    _tell(report, config, results)
    for result in results:
        _draw_atoms(report, result)
    _draw_fits(report, results[-1])
    _draw_statistics(report, results)
    _draw_forms(report, results)
    _draw_learning(report, config, results)
    _draw_sparsity(report, results)


def _learn(
    config: Config, report: Report, key: Key[Array, ""], whitened: list[np.ndarray], size: int, atoms: int
) -> Result:
    data_key, held_key, train_key, start_key = jax.random.split(key, 4)
    data = jnp.asarray(natural.patches(data_key, whitened, size, config.samples, natural.BORDER))
    held_out = jnp.asarray(natural.patches(held_key, whitened, size, config.held_out, natural.BORDER))
    regularizer = l1(config.weight)
    with report.stage(f"learning {atoms} atoms of {size} x {size}"):
        learned = learn(report, train_key, data, atoms, regularizer, config.batch_size, config.epochs, {"size": size})
    with report.stage("fitting Gabor functions"):
        fit = gabor.fit(jnp.asarray(pictures(learned.params, size, size)))
    order = np.argsort(np.asarray(gabor.peak_frequency(fit.gabor)), kind="stable")
    fit = jax.tree.map(lambda leaf: leaf[order], fit)
    learned = learned._replace(params=sparse_coding.Params(learned.params.dictionary[:, order]))
    with report.stage("coding held-out patches"):
        codes = code(learned.params, regularizer, held_out)
    start = sparse_coding.from_data(start_key, data, atoms)
    return Result(size, learned, start, median_largest_weight(learned.params, held_out), codes, fit, held_out)


def _tell(report: Report, config: Config, results: list[Result]) -> None:
    rows = []
    for result in results:
        learned, codes = result.learned, result.codes
        regularizer = l1(config.weight)
        observed, atoms = learned.params.dictionary.shape
        noise = sparse_coding.init(jax.random.key(0), observed, atoms)
        for name, found in (
            ("learned", codes),
            ("patches", code(result.start, regularizer, result.held_out)),
            ("random", code(noise, regularizer, result.held_out)),
        ):
            rows.append(
                (f"{result.name}, {name}", found.energy, found.misfit, f"{found.nonzero:.1f}", f"{found.explained:.3f}")
            )
    report.table(
        "Held-out patches of the same pictures, coded with learned atoms, with patches as atoms, and with random "
        "atoms: means per patch",
        ("dictionary", "energy E", "½‖y - Wz‖²", "nonzero coefficients", "explained variance"),
        rows,
    )
    last = results[-1]
    residuals = [np.asarray(result.fit.residual) for result in results]
    report.summary(
        weight=config.weight,
        weight_of_largest=[config.weight / result.largest_weight for result in results],
        nonzero=[result.codes.nonzero for result in results],
        explained_variance=[result.codes.explained for result in results],
        gabor_residual_median=[float(np.median(residual)) for residual in residuals],
        gabor_good_fits=[float(np.mean(residual < GOOD)) for residual in residuals],
        kurtosis=_kurtosis(np.asarray(last.codes.codes)),
        replaced=[result.learned.replaced for result in results],
        finite=all(result.learned.finite for result in results),
    )
    report.text(
        f"λ = {config.weight:g} in units of the whitened pictures, whose variance is {natural.VARIANCE:g}. The code of "
        "a patch is zero if λ is at least λ_max = ‖Wᵀy‖_∞. The median of λ / λ_max over held-out patches is "
        + " and ".join(f"{config.weight / result.largest_weight:.2f} ({result.name})" for result in results)
        + f". A Gabor function whose error is less than {GOOD:g} of an atom's power is called a good fit."
    )


def _kurtosis(codes: Float[np.ndarray, "samples atoms"]) -> float:
    """Excess kurtosis of all coefficients, each atom's scaled to unit variance: 0 for Gaussian ones."""
    scaled = codes / np.maximum(np.sqrt(np.mean(codes**2, axis=0, keepdims=True)), 1e-12)
    return float(np.mean(scaled**4) - 3)


def _draw_whitening(report: Report, config: Config, raw: list[np.ndarray], whitened: list[np.ndarray]) -> None:
    if config.images is None and config.pictures is Natural.BSD:
        report.text("The license of these pictures allows research only, so they are not shown.")
        return
    figure, axes = plots.panels(1, 3, width=4.0, height=4.0)
    for panel, picture, title in ((axes[0, 0], raw[0], "A picture"), (axes[0, 1], whitened[0], "whitened")):
        low, high = np.quantile(picture, [0.005, 0.995])
        panel.imshow(picture, cmap="gray", vmin=low, vmax=high)
        panel.set_title(title)
        plain(panel)
    for some, label, color in (
        ([picture - picture.mean() for picture in raw], "pictures", plots.PALETTE["blue"]),
        (whitened, "whitened", plots.PALETTE["vermillion"]),
    ):
        frequency, power = _spectrum(some)
        axes[0, 2].loglog(frequency, power, color=color, label=label)
    axes[0, 2].legend()
    plots.label(axes[0, 2], "frequency (cycles per pixel)", "power / mean power", "Mean spectrum")
    report.figure(
        "whitening",
        figure,
        "Whitening multiplies the spectrum by ρ exp(-(ρ/0.4)⁴), with ρ in cycles per pixel. In natural pictures the "
        "power falls with the frequency; in whitened pictures it is nearly constant up to the cutoff. Power is divided "
        "by its mean.",
    )


def _spectrum(pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in logarithmic steps, and the mean power over all directions at each."""
    edges = np.geomspace(0.01, 0.7, 25)
    total = np.zeros((2, 24))
    for picture in pictures:
        power = np.abs(np.fft.fft2(picture)) ** 2 / picture.size
        frequency = np.hypot(np.fft.fftfreq(picture.shape[0])[:, None], np.fft.fftfreq(picture.shape[1]))
        place = np.digitize(frequency.ravel(), edges) - 1
        inside = (place >= 0) & (place < 24)
        count = np.bincount(place[inside], minlength=24)
        total += [np.bincount(place[inside], power.ravel()[inside], minlength=24), count]
    mean = total[0] / np.maximum(total[1], 1)
    return np.sqrt(edges[1:] * edges[:-1]), mean / mean.mean()


def _draw_atoms(report: Report, result: Result) -> None:
    atoms = pictures(result.learned.params, result.size, result.size)
    across = 2 ** math.ceil(math.log2(len(atoms)) / 2)
    height = 8.4 * math.ceil(len(atoms) / across) / across + 0.4
    figure, axes = plots.one(8.4, height)
    show_atoms(axes, atoms, across, result.name)
    report.figure(
        f"atoms_{result.size}",
        figure,
        "All atoms, in the order of the frequency at which the spectrum of their Gabor function is largest. Middle "
        "grey is zero. Each atom has a scale of its own, and its sign has no meaning.",
    )


def _draw_fits(report: Report, result: Result) -> None:
    atoms, size = pictures(result.learned.params, result.size, result.size), result.size
    count = min(SHOWN, len(atoms))
    residual = np.asarray(result.fit.residual)
    chosen = np.argsort(residual)[np.linspace(0, len(atoms) - 1, count).round().astype(int)]
    fitted = np.asarray(
        jax.vmap(lambda values: gabor.draw(values, size, size))(
            jax.tree.map(lambda leaf: leaf[chosen], result.fit.gabor)
        )
    )
    shown = atoms[chosen]
    scale = np.abs(shown).max(axis=(1, 2), keepdims=True)
    rows = np.concatenate([shown / scale, fitted / scale, (shown - fitted) / scale])
    figure, axes = plots.one(12.0, 2.4)
    show_atoms(axes, np.clip(rows, -1, 1), count, own_scale=False)
    axes.set_yticks([(size + 1) * row + size / 2 for row in range(3)], ["atom", "Gabor", "difference"])
    axes.set_xticks(
        [(size + 1) * row + size / 2 for row in range(count)], [f"{100 * r:.0f}%" for r in residual[chosen]]
    )
    axes.tick_params(length=0)
    axes.set_xlabel("relative squared error of the Gabor function")
    report.figure(
        "gabor_fits",
        figure,
        f"{count} of the {result.name}, evenly chosen from the best fit to the worst: the atoms, their Gabor "
        "functions, and the differences, on the scale of each atom.",
    )


def _draw_statistics(report: Report, results: list[Result]) -> None:
    figure, axes = plots.panels(1, 4, width=3.5, height=3.3)
    panels = axes[0]
    for result, color in zip(results, plots.PALETTE.values(), strict=False):
        good = np.asarray(result.fit.residual) < GOOD
        values = jax.tree.map(lambda leaf, good=good: np.asarray(leaf)[good], result.fit.gabor)
        style = {"histtype": "step", "color": color, "label": result.name, "linewidth": 1.8, "density": True}
        panels[0].hist(np.degrees(values.direction), np.arange(0, 181, 15), **style)
        panels[1].hist(
            np.asarray(gabor.peak_frequency(values)), np.geomspace(0.03, 0.6, 14), **{**style, "density": False}
        )
        panels[2].hist(values.across / values.along, np.geomspace(0.35, 22, 19), **{**style, "density": False})
        panels[3].hist(np.asarray(result.fit.residual), np.linspace(0, 1, 21), **{**style, "density": False})
    panels[0].set_xticks([0, 45, 90, 135, 180])
    panels[0].set_ylim(bottom=0)
    plots.label(panels[0], "direction of the wave (degrees)", "density", "Direction")
    plots.label(panels[1], "frequency (cycles per pixel)", "atoms", "Frequency")
    plots.label(panels[2], "length / width, σ across / σ along", "atoms", "Aspect")
    plots.label(panels[3], "relative squared error", "atoms", "Error of the fit")
    for panel, ticks in ((panels[1], [0.03, 0.1, 0.3]), (panels[2], [0.5, 1, 2, 4, 8, 16])):
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
    panels[3].axvline(GOOD, color="#777777", linestyle=":", linewidth=1.2)
    panels[0].legend(loc="lower center", fontsize=8)
    report.figure(
        "statistics",
        figure,
        "The first three panels count only atoms with a good fit (left of the dotted line in the last panel). "
        "Direction of the wave: 0° is to the right, with vertical stripes, and 90° is upwards. Frequency: where the "
        "spectrum of the Gabor function is largest. Aspect: the length along the stripes over the width across them. "
        "No width can be larger than the patch.",
    )


def _draw_forms(report: Report, results: list[Result]) -> None:
    figure, axes = plots.panels(1, 2, width=4.6, height=4.2)
    for result, color in zip(results, plots.PALETTE.values(), strict=False):
        good = np.asarray(result.fit.residual) < GOOD
        values = jax.tree.map(lambda leaf, good=good: np.asarray(leaf)[good], result.fit.gabor)
        peak = np.asarray(gabor.peak_frequency(values))
        along, across = values.along * peak, values.across * peak
        axes[0, 0].plot(along, across, ".", color=color, alpha=0.6, markersize=6, label=result.name)
        # 0 degrees is even, 90 odd
        phase = np.degrees(np.abs(np.angle(np.exp(2j * values.phase))) / 2)
        axes[0, 1].hist(phase, np.linspace(0, 90, 10), histtype="step", color=color, linewidth=1.8, label=result.name)
    top = 2.0
    axes[0, 0].plot([0, top], [0, top], color="#777777", linestyle=":", linewidth=1.2)
    axes[0, 0].set(xlim=(0, 1.0), ylim=(0, top))
    axes[0, 0].legend(loc="upper right")
    plots.label(
        axes[0, 0],
        "width across the stripes, $n_x$ = σ along · $f$",
        "length along the stripes, $n_y$ = σ across · $f$",
        "Form",
    )
    axes[0, 1].set_xticks([0, 30, 60, 90])
    plots.label(axes[0, 1], "phase (degrees; 0 even, 90 odd)", "atoms", "Symmetry")
    report.figure(
        "forms",
        figure,
        "Left: the size of each atom in wavelengths, after Ringach (2002). The wavelength is that of the largest value "
        "of the spectrum. Round atoms lie on the dotted line, a single edge has nₓ = 1/2π = 0.16, and gratings lie to "
        "the right. Right: whether an atom is a bar (even) or an edge (odd).",
    )


def _draw_learning(report: Report, config: Config, results: list[Result]) -> None:
    learned = {result.name: result.learned for result in results}
    report.figure(
        "learning",
        learning_curves(learned, "energy per patch", "nonzero coefficients per patch"),
        f"Means over the {config.batch_size} patches of each update, coded before it. All dictionaries have the same "
        "λ.",
    )


def _draw_sparsity(report: Report, results: list[Result]) -> None:
    figure, axes = plots.panels(1, 3, width=4.0, height=3.6)
    for result, color in zip(results, plots.PALETTE.values(), strict=False):
        codes = np.asarray(result.codes.codes)
        used = (codes != 0).sum(axis=1)
        axes[0, 0].hist(
            used, np.arange(0, used.max() + 3, 2), histtype="step", color=color, linewidth=1.8, density=True
        )
        scaled = (codes / np.maximum(np.sqrt(np.mean(codes**2, axis=0)), 1e-12)).ravel()
        heights, edges = np.histogram(scaled, np.linspace(-15.25, 15.25, 62), density=True)
        axes[0, 1].semilogy((edges[1:] + edges[:-1]) / 2, np.where(heights > 0, heights, np.nan), color=color)
        share = np.sort((codes != 0).mean(axis=0))[::-1]
        axes[0, 2].plot(np.linspace(0, 1, len(share)), share, color=color, label=result.name)
    grid = np.linspace(-5, 5, 101)
    axes[0, 1].semilogy(grid, np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi), ":", color="#777777", label="a Gaussian")
    axes[0, 1].set_ylim(1e-6, 10)
    axes[0, 1].legend(loc="upper right")
    axes[0, 2].legend()
    axes[0, 2].set_ylim(bottom=0)
    plots.label(axes[0, 0], "nonzero coefficients", "density", "Atoms in the code of a patch")
    plots.label(axes[0, 1], "coefficient / its standard deviation", "density", "Distribution of coefficients")
    plots.label(axes[0, 2], "rank of the atom / number of atoms", "share of patches", "Use of each atom")
    report.figure(
        "sparsity",
        figure,
        "Codes of held-out patches. Left: how many coefficients of a code are not zero. Middle: the distribution of "
        "the coefficients is far from a Gaussian. Right: the share of the patches that use an atom, from the most used "
        "atom to the least used.",
    )
