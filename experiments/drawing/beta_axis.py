"""Inverse temperatures in figures: as labels, as colours, and as an axis on which 0 and ∞ have places.

The axis is logarithmic. What is drawn at `positions(betas)` belongs to the ticks that `draw(axes, betas)` makes.
"""

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from numpy.typing import ArrayLike


def label(beta: float) -> str:
    """An inverse temperature in two significant digits, or as an integer if it has more.

    >>> label(10**0.5), label(float("inf")), label(250.0)
    ('β = 3.2', 'β = ∞', 'β = 250')
    """
    return f"β = {_short(beta)}"


def colors(betas: ArrayLike) -> np.ndarray:
    """Colours (n, 4), the darker the larger the inverse temperature; they depend on the order of the values only."""
    betas = np.asarray(betas, dtype=float)
    ranks = np.unique(betas, return_inverse=True)[1]
    # The bright end of the map is skipped, because pale yellow is hard to see on white paper.
    return colormaps["plasma"](0.85 * (1 - ranks / max(1, ranks.max(initial=0))))


def positions(betas: ArrayLike) -> np.ndarray:
    """The positions of inverse temperatures on the axis: log10, with 0 and ∞ a step below and above the finite ones."""
    betas = np.asarray(betas, dtype=float)
    finite = betas[np.isfinite(betas) & (betas > 0)]
    low, high = (np.log10(finite.min()), np.log10(finite.max())) if finite.size else (0.0, 0.0)
    gap = max(0.25, 0.12 * (high - low))
    with np.errstate(divide="ignore"):
        return np.clip(np.log10(betas), low - gap, high + gap)


def draw(axes: Axes, betas: ArrayLike, critical: float | None = None) -> None:
    """Make the x axis an axis of inverse temperatures, for what is drawn at `positions(betas)`.

    Args:
        axes: the axes.
        betas: inverse temperatures in [0, inf].
        critical: a critical inverse temperature, which a dotted line marks.
    """
    betas = np.asarray(betas, dtype=float)
    finite = betas[np.isfinite(betas) & (betas > 0)]
    ticks: dict[float, str] = {}
    if finite.size:
        low, high = np.log10(finite.min()), np.log10(finite.max())
        # Ticks at round numbers: three per decade if there are few decades, else one.
        steps = (1.0, 2.0, 5.0) if high - low < 2.5 else (1.0,)
        for exponent in range(math.floor(low), math.ceil(high) + 1):
            for step in steps:
                at = math.log10(step) + exponent
                if low - 1e-6 <= at <= high + 1e-6:
                    ticks[at] = _short(step * 10.0**exponent)
    for special in (0.0, math.inf):
        if special in betas:
            ticks[float(positions(betas)[betas == special][0])] = _short(special)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("inverse temperature β")
    if critical is not None:
        axes.axvline(math.log10(critical), color="#777777", linestyle=":", linewidth=1.4)


def _short(beta: float) -> str:
    if math.isinf(beta):
        return "∞"
    return f"{beta:.0f}" if 10 <= beta < 1e5 else f"{beta:.2g}".replace("e-0", "e-").replace("e+0", "e")
