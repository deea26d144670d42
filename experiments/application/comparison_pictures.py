"""The pictures of a comparison: curves of several runs over each other, and headline figures against options."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.application import page
from experiments.application.series import Point, reader
from experiments.drawing import plots

PANELS, PICTURES = 12, 40
"""The most panels of one picture, and the most pictures of a section."""
DECADES = 100.0
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""

Curves = dict[str, dict[str, list[Point]]]
"""The points of each curve of each run, by the names of the curves and of the runs."""


def curves(labels: Sequence[str], runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[page.Figure]:
    """A picture for each number in the lines of metrics.jsonl: a panel for each curve, a line for each run.

    Args:
        labels: the names of the runs.
        runs: their lines.
    """
    metrics: dict[str, Curves] = {}
    for label, lines in zip(labels, runs, strict=True):
        read = reader()
        for point in map(read, lines):
            for name in point.values:
                metrics.setdefault(name, {}).setdefault(point.curve, {}).setdefault(label, []).append(point)
    colors = dict(zip(labels, _colors(len(labels)), strict=True))
    drawn = list(metrics.items())[:PICTURES]
    return [_metric(name, of_curves, colors) for name, of_curves in drawn]


def sweeps(
    figures: Sequence[Mapping[str, float]], options: Mapping[str, list[float]], others: Mapping[str, list[Any]]
) -> list[page.Figure]:
    """A picture for each headline figure: a panel for each option, where runs that agree otherwise are joined.

    Args:
        figures: the headline figures of each run.
        options: the options that are drawn along x: their values in all runs.
        others: all options that differ, in the same form.
    """
    names = dict.fromkeys(name for each in figures for name in each)
    table = {name: [each.get(name, math.nan) for each in figures] for name in names}
    known = {name: values for name, values in table.items() if np.isfinite(values).sum() > 1}
    return [_sweep(name, values, options, others) for name, values in list(known.items())[:PICTURES] if options]


def _metric(name: str, of_curves: Curves, colors: Mapping[str, Any]) -> page.Figure:
    pairs = [(curve, label, points) for curve, runs in of_curves.items() for label, points in runs.items()]
    said = name.replace("_", " ")
    left_out = 0
    if len(of_curves) > 1 and all(len(points) == 1 for _, _, points in pairs):
        figure, axes = plots.one(7.2, 1.4 + 0.3 * len(of_curves))
        rows = {curve: row for row, curve in enumerate(of_curves)}
        for label, color in colors.items():
            mine = [(points[0].values[name], rows[curve]) for curve, one, points in pairs if one == label]
            axes.plot(*np.array(mine).reshape(-1, 2).T, "o", color=color, label=label)
        axes.set_yticks(list(rows.values()), [curve or "all" for curve in rows])
        axes.invert_yaxis()
        axes.set_xlabel(said)
        _logarithmic(axes, "x", [points[0].values[name] for _, _, points in pairs])
        axes.legend()
    else:
        shown = list(of_curves)[:PANELS]
        columns = min(3, len(shown))
        figure, grid = plots.panels(-(-len(shown) // columns), columns, *((6.4, 4.0) if columns == 1 else (4.0, 3.2)))
        for panel in grid.flat[len(shown) :]:
            panel.set_visible(False)
        for panel, curve in zip(grid.flat, shown, strict=False):
            _panel(panel, name, curve, of_curves[curve], colors)
        grid.flat[0].legend()
        left_out = len(of_curves) - len(shown)
    more = f" {left_out} more curves are in metrics.jsonl." if left_out else ""
    return _embedded(f"curve_{name}", figure, f"{said}.{more}")


def _panel(axes: Axes, name: str, curve: str, runs: Mapping[str, list[Point]], colors: Mapping[str, Any]) -> None:
    for label, points in runs.items():
        places, values = [point.place for point in points], [point.values[name] for point in points]
        axes.plot(places, values, marker="." if len(points) < 30 else None, color=colors[label], label=label)
    _logarithmic(axes, "y", [point.values[name] for points in runs.values() for point in points])
    axis = next(iter(runs.values()))[0].axis
    if axis == "beta":
        _logarithmic(axes, "x", [point.place for points in runs.values() for point in points])
    plots.label(axes, "β" if axis == "beta" else axis, name.replace("_", " "), curve)
    axes.title.set_wrap(True)


def _sweep(
    name: str, values: Sequence[float], options: Mapping[str, list[float]], others: Mapping[str, list[Any]]
) -> page.Figure:
    columns = min(3, len(options))
    figure, grid = plots.panels(-(-len(options) // columns), columns, 4.0, 3.2)
    for panel in grid.flat[len(options) :]:
        panel.set_visible(False)
    for panel, (option, places) in zip(grid.flat, options.items(), strict=False):
        steps = sorted(set(places))
        # infinity has no place on an axis of numbers: the values then stand at equal distances
        even = not np.isfinite(steps).all()
        groups: dict[str, list[tuple[float, float]]] = {}
        for run, (place, value) in enumerate(zip(places, values, strict=True)):
            rest = {other: each[run] for other, each in others.items() if other != option}
            groups.setdefault(str(rest), []).append((steps.index(place) if even else place, value))
        for points in groups.values():
            panel.plot(
                *np.array(sorted(points)).T, "o-", color=plots.PALETTE["blue"], alpha=1 if len(groups) == 1 else 0.6
            )
        if even:
            panel.set_xticks(range(len(steps)), ["∞" if math.isinf(step) else f"{step:g}" for step in steps])
        else:
            _logarithmic(panel, "x", steps)
        _logarithmic(panel, "y", values)
        plots.label(panel, option.replace("_", " "), name.replace("_", " "))
    against = ", ".join(option.replace("_", " ") for option in options)
    return _embedded(f"sweep_{name}", figure, f"{name.replace('_', ' ')} against {against}.")


def _logarithmic(axes: Axes, side: str, values: Sequence[float]) -> None:
    """Make an axis logarithmic if all finite values are above 0 and span two decades."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) >= DECADES * min(finite):
        axes.set(**{f"{side}scale": "log"})


def _colors(count: int) -> list[Any]:
    own = [plots.PALETTE[name] for name in ("blue", "vermillion", "green", "orange", "purple", "sky", "black")]
    return own[:count] if count <= len(own) else list(matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count)))


def _embedded(name: str, figure: Figure, caption: str) -> page.Figure:
    picture = io.BytesIO()
    with plots.house_style():
        figure.savefig(picture, format="png", dpi=110, bbox_inches="tight")
    return page.Figure(name, base64.b64encode(picture.getvalue()).decode(), caption)
