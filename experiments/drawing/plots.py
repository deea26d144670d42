"""The style of all figures, and the drawings that several experiments share.

All functions draw on matplotlib `Axes`. Figures are plain `Figure` objects without `pyplot`, so that they open no
window and leave no global state. The colours are those of Okabe and Ito, which colour-blind readers can distinguish.
Maps of free energies have the colours of the lecture: 0 (cold) is blue, 0.5 (warm) is pale, 1 and above (hot) is red.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib import resources
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
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


def house_style() -> AbstractContextManager[None]:
    """A context manager: figures within it have the style of `house.mplstyle`. Every experiment runs in one."""
    return matplotlib.rc_context(_style())


@cache
def _style() -> matplotlib.RcParams:
    with resources.as_file(resources.files("experiments.drawing") / "house.mplstyle") as path:
        return matplotlib.rc_params_from_file(path, use_default_template=False)


def one(width: float = 6.4, height: float = 4.2) -> tuple[Figure, Axes]:
    """A figure with one panel, whose width and height are in inches."""
    figure, axes = panels(1, 1, width, height)
    return figure, axes[0, 0]


def panels(
    rows: int, columns: int, width: float = 3.6, height: float = 3.4, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns panels, whose width and height are in inches each.

    Returns:
        The figure and an array (rows, columns) of axes.
    """
    with house_style():
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)


def spatial(columns: int = 1, width: float = 5.2, height: float = 4.8) -> tuple[Figure, list[Axes3D]]:
    """A figure of panels with 3-D axes in one row, for the horn; width and height are in inches each."""
    with house_style():
        figure = Figure(figsize=(columns * width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, [figure.add_subplot(1, columns, 1 + index, projection="3d") for index in range(columns)]


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Set the labels of the axes, with units, and the title of the panel unless it is empty."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)


def lines(
    axes: Axes, x: ArrayLike, ys: ArrayLike, labels: Sequence[str], colors: Sequence[Any] | np.ndarray | None = None
) -> None:
    """Draw the rows of `ys` (n, points) against `x` (points,), with a legend."""
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
    """Draw a free energy over the plane: 0 (cold) is blue, 0.5 (warm) is pale, 1 and above (hot) is red.

    Args:
        axes: the axes; their aspect becomes equal.
        y1, y2: grid coordinates, (a,) and (b,).
        values: free energies (a, b), the first index along y1; the colours clip them to [0, 1].
        title: the title of the panel.
        colorbar: whether to draw a colour bar.
        contours: the levels of the contour lines; levels outside the range of the values are skipped.
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
    """Draw a manifold through points (n, 2) in order; with `closed` as a loop."""
    points = np.asarray(points)
    points = np.concatenate([points, points[:1]]) if closed else points
    axes.plot(points[:, 0], points[:, 1], color=color, label=label or None)
    axes.set_aspect("equal")


def scatter(axes: Axes, points: ArrayLike, color: Any = PALETTE["black"], label: str = "") -> None:
    """Draw data points (n, 2)."""
    points = np.asarray(points)
    axes.scatter(points[:, 0], points[:, 1], s=18, color=color, label=label or None, zorder=3, linewidths=0)


def arrows(axes: Axes, start: ArrayLike, end: ArrayLike, color: Any = PALETTE["vermillion"], label: str = "") -> None:
    """Draw arrows from the points `start` (n, 2) to the points `end` (n, 2), both in the units of the data."""
    start, end = np.asarray(start), np.asarray(end)
    axes.quiver(
        *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, color=color, width=0.004, zorder=2,
        label=label or None,
    )  # fmt: skip


def horn_surface(axes: Axes3D, x: ArrayLike, y: ArrayLike, color: Any = PALETTE["blue"], label: str = "") -> None:
    """Draw a horn as a tube around the x axis.

    Args:
        axes: 3-D axes.
        x: positions along the horn (a,).
        y: the rings of the horn (a, z, 2); each is drawn as a closed loop.
        color: the colour of the surface and its lines.
        label: the entry in the legend.
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
    """Draw samples of a horn, x (n,) and y (n, 2)."""
    y = np.asarray(y)
    # the type stubs allow only one height
    heights: Any = y[:, 1]
    axes.scatter(np.asarray(x), y[:, 0], heights, s=9, color=color, label=label or None, depthshade=False, linewidths=0)
    _name_horn_axes(axes)


def _name_horn_axes(axes: Axes3D) -> None:
    axes.set_xlabel("x")
    axes.set_ylabel("y₁")
    axes.set_zlabel("y₂")
    axes.locator_params(nbins=5)
    zoom: Any = 1.1  # the type stubs allow only integers
    axes.set_box_aspect((1.6, 1, 1), zoom=zoom)
    axes.view_init(elev=20, azim=-58)
