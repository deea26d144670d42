"""The house style of figures, and the drawings that several experiments share.

Everything draws on matplotlib `Axes`; figures are plain `Figure` objects, so no window, no `pyplot` and no state that
outlives them. Colours are Okabe and Ito's, which the colour-blind can tell apart; free energies have the lecture's:
cold 0 is blue, warm 0.5 is pale, hot 1 and above is red.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import ArrayLike

PALETTE: dict[str, str] = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}

COLD_WARM = LinearSegmentedColormap.from_list("cold_warm", ["#2b5ea8", "#9cc3e2", "#f7f4ee", "#f0a48a", "#b2182b"])

_STYLE: Any = {
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "legend.fontsize": 9.5,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[PALETTE[name] for name in PALETTE if name != "yellow"]),
    "grid.color": "#e3e6ec",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
}


def house_style() -> AbstractContextManager[None]:
    """The style for everything drawn within the block. The command line wraps every experiment in it."""
    return matplotlib.rc_context(_STYLE)


def one(width: float = 6.4, height: float = 4.2) -> tuple[Figure, Axes]:
    """A figure with one set of axes, in inches."""
    figure, axes = panels(1, 1, width, height)
    return figure, axes[0, 0]


def panels(
    rows: int, columns: int, width: float = 3.6, height: float = 3.4, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each panel so many inches wide and high.

    Returns:
        The figure and an array (rows, columns) of axes.
    """
    with house_style():
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)


def spatial(columns: int = 1, width: float = 5.2, height: float = 4.8) -> tuple[Figure, list[Axes3D]]:
    """A figure of 3-D axes side by side, for the horn."""
    with house_style():
        figure = Figure(figsize=(columns * width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, [figure.add_subplot(1, columns, 1 + index, projection="3d") for index in range(columns)]


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name the axes, with units, and perhaps the panel."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)


def beta_label(beta: float) -> str:
    """An inverse temperature in two significant digits.

    >>> beta_label(10**0.5), beta_label(float("inf")), beta_label(250.0)
    ('β = 3.2', 'β = ∞', 'β = 250')
    """
    return f"β = {_short(beta)}"


def beta_colors(betas: ArrayLike) -> np.ndarray:
    """Colours (n, 4) in the order of the inverse temperatures: the colder the darker, ∞ darkest."""
    betas = np.asarray(betas, dtype=float)
    ranks = np.unique(betas, return_inverse=True)[1]
    # The bright end of the map is left out: pale yellow is lost on white paper.
    return colormaps["plasma"](0.85 * (1 - ranks / max(1, ranks.max(initial=0))))


def beta_positions(betas: ArrayLike) -> np.ndarray:
    """Where inverse temperatures stand on an axis: log10, with 0 and ∞ a step beyond the finite ones."""
    betas = np.asarray(betas, dtype=float)
    finite = betas[np.isfinite(betas) & (betas > 0)]
    low, high = (np.log10(finite.min()), np.log10(finite.max())) if finite.size else (0.0, 0.0)
    gap = max(0.25, 0.12 * (high - low))
    with np.errstate(divide="ignore"):
        return np.clip(np.log10(betas), low - gap, high + gap)


def beta_axis(axes: Axes, betas: ArrayLike, critical: float | None = None) -> None:
    """Make the x axis one of inverse temperatures; what is drawn there stands at `beta_positions(betas)`.

    Args:
        axes: the axes.
        betas: the inverse temperatures, 0 and ∞ among them or not.
        critical: a critical value to mark with a line.
    """
    betas = np.asarray(betas, dtype=float)
    finite = betas[np.isfinite(betas) & (betas > 0)]
    ticks: dict[float, str] = {}
    if finite.size:
        low, high = np.log10(finite.min()), np.log10(finite.max())
        # Round numbers, three a decade where there are few decades.
        steps = (1.0, 2.0, 5.0) if high - low < 2.5 else (1.0,)
        for exponent in range(math.floor(low), math.ceil(high) + 1):
            for step in steps:
                at = math.log10(step) + exponent
                if low - 1e-6 <= at <= high + 1e-6:
                    ticks[at] = _short(step * 10.0**exponent)
    for special in (0.0, math.inf):
        if special in betas:
            ticks[float(beta_positions(betas)[betas == special][0])] = _short(special)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("inverse temperature β")
    if critical is not None:
        axes.axvline(math.log10(critical), color="#777777", linestyle=":", linewidth=1.4)


def lines(
    axes: Axes, x: ArrayLike, ys: ArrayLike, labels: Sequence[str], colors: Sequence[Any] | np.ndarray | None = None
) -> None:
    """Draw the rows of `ys` (n, points) over `x`, with a legend."""
    for index, (y, name) in enumerate(zip(np.asarray(ys), labels, strict=True)):
        axes.plot(np.asarray(x), y, label=name, color=None if colors is None else colors[index])
    axes.legend()


def cold_warm_map(
    axes: Axes,
    y1: ArrayLike,
    y2: ArrayLike,
    values: ArrayLike,
    *,
    title: str = "",
    colorbar: bool = True,
    contours: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
) -> QuadMesh:
    """A free energy over the plane: cold 0 blue, warm 0.5 pale, hot 1 and above red.

    Args:
        axes: the axes; their aspect becomes equal.
        y1, y2: grid coordinates, (a,) and (b,).
        values: free energies (a, b), the first index along y1; clipped to [0, 1] in the colours.
        title: the panel's title.
        colorbar: whether to draw one.
        contours: levels of the contour lines; those that the values do not reach are left out.
    """
    y1, y2, values = np.asarray(y1), np.asarray(y2), np.asarray(values).T
    image = axes.pcolormesh(y1, y2, values, cmap=COLD_WARM, norm=Normalize(0, 1, clip=True), shading="nearest")
    known = values[np.isfinite(values)]
    reached = [level for level in contours if known.size and known.min() < level < known.max()]
    if reached:
        axes.contour(y1, y2, values, levels=reached, colors="#444444", linewidths=0.6, alpha=0.7)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    label(axes, "y₁", "y₂", title)
    if colorbar:
        bar = axes.figure.colorbar(image, ax=axes, extend="max", shrink=0.8, ticks=[0, 0.25, 0.5, 0.75, 1])
        bar.ax.set_yticklabels(["0 cold", "0.25", "0.5 warm", "0.75", "≥ 1 hot"])
        bar.set_label("free energy F")
    return image


def curve(axes: Axes, points: ArrayLike, color: Any = PALETTE["blue"], label: str = "", closed: bool = True) -> None:
    """Draw a manifold: points (n, 2) in order, closed to a loop or not."""
    points = np.asarray(points)
    points = np.concatenate([points, points[:1]]) if closed else points
    axes.plot(points[:, 0], points[:, 1], color=color, label=label or None)
    axes.set_aspect("equal")


def scatter(axes: Axes, points: ArrayLike, color: Any = PALETTE["black"], label: str = "") -> None:
    """Draw data points (n, 2)."""
    points = np.asarray(points)
    axes.scatter(points[:, 0], points[:, 1], s=18, color=color, label=label or None, zorder=3, linewidths=0)


def arrows(axes: Axes, start: ArrayLike, end: ArrayLike, color: Any = PALETTE["vermillion"], label: str = "") -> None:
    """Draw arrows between points (n, 2), as long as they are in the data's units."""
    start, end = np.asarray(start), np.asarray(end)
    axes.quiver(
        *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, color=color, width=0.004, zorder=2,
        label=label or None,
    )  # fmt: skip


def horn_surface(axes: Axes3D, x: ArrayLike, y: ArrayLike, color: Any = PALETTE["blue"], label: str = "") -> None:
    """Draw a horn: a tube around the x axis.

    Args:
        axes: 3-D axes.
        x: positions along the horn (a,).
        y: its rings (a, z, 2), closed here.
        color: of the surface and its lines.
        label: for the legend.
    """
    x, y = np.asarray(x), np.asarray(y)
    y = np.concatenate([y, y[:, :1]], axis=1)
    along = np.broadcast_to(x[:, None], y.shape[:2])
    axes.plot_surface(along, y[..., 0], y[..., 1], color=color, alpha=0.16, linewidth=0, rcount=60, ccount=60)
    axes.plot_wireframe(
        along, y[..., 0], y[..., 1], color=color, alpha=0.55, linewidth=0.6, rcount=18, ccount=24, label=label or None
    )
    _name_horn_axes(axes)


def horn_points(axes: Axes3D, x: ArrayLike, y: ArrayLike, color: Any = PALETTE["vermillion"], label: str = "") -> None:
    """Draw samples of a horn: x (n,), y (n, 2)."""
    y = np.asarray(y)
    # The stubs know a single height only.
    heights: Any = y[:, 1]
    axes.scatter(np.asarray(x), y[:, 0], heights, s=9, color=color, label=label or None, depthshade=False, linewidths=0)
    _name_horn_axes(axes)


def _name_horn_axes(axes: Axes3D) -> None:
    axes.set_xlabel("x")
    axes.set_ylabel("y₁")
    axes.set_zlabel("y₂")
    axes.locator_params(nbins=5)
    zoom: Any = 1.1  # the stubs know whole numbers only
    axes.set_box_aspect((1.6, 1, 1), zoom=zoom)
    axes.view_init(elev=20, azim=-58)


def _short(beta: float) -> str:
    if math.isinf(beta):
        return "∞"
    return f"{beta:.0f}" if 10 <= beta < 1e5 else f"{beta:.2g}".replace("e-0", "e-").replace("e+0", "e")
