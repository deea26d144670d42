"""The metrics of a run for TensorBoard, written as they come by tensorboardX (extra `tensorboard`)."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ebmjax.checks import ArgumentError
from experiments.application.records import EVENTS
from experiments.application.report import Report
from experiments.application.series import reader


def require() -> None:
    """Raise ArgumentError, which says how to install it, unless tensorboardX is there."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ArgumentError(
            "--tensorboard: got no package tensorboardX, wanted the extra: python -m pip install 'ebmjax[tensorboard]'"
        )


@contextmanager
def following(report: Report) -> Iterator[None]:
    """A context manager in which each line of metrics.jsonl becomes events in the folder `tensorboard` of the run.

    The tag of a number is its curve and its name, `cold/loss`; its step is the place on the curve (see `series`).
    A place that is no whole number, such as a temperature, cannot be a step: these lines are counted instead.
    """
    from tensorboardX import SummaryWriter

    read, writers, counts = reader(), [], {}

    def listen(line: dict[str, Any]) -> None:
        if not writers:  # not before the first line, when the files of an earlier run are gone
            writers.append(SummaryWriter(str(report.folder / EVENTS)))
        point = read(line)
        counts[point.curve] = counts.get(point.curve, -1) + 1
        step = int(point.place) if point.place.is_integer() else counts[point.curve]
        for name, value in point.values.items():
            writers[0].add_scalar("/".join(filter(None, (point.curve, name))), value, step)
        writers[0].flush()

    report.listeners.append(listen)
    try:
        yield
    finally:
        report.listeners.remove(listen)
        for writer in writers:
            writer.close()
