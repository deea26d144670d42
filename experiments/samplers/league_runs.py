"""How a league is run: problem after problem, all players on each, with checkpoints, and what is told of it."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.application.records import dumps, write
from experiments.application.report import Report
from experiments.samplers import league_scores
from experiments.samplers.league_scores import Curve, Score
from experiments.samplers.players import OURS


class Match(NamedTuple):
    """All players on one problem."""

    title: str
    """Of its table."""
    players: list[tuple[str, str]]
    """The names of samplers, and of their packages."""
    play: Callable[[int], tuple[Score, Curve | None]]
    """`play(number of a player) -> its score and its curve`."""


def played(
    report: Report, names: Sequence[str], match_of: Callable[[int], Match]
) -> tuple[list[Score], list[Curve], list[tuple[str, list[Score]]]]:
    """All scores and curves; and the title of the table of each problem, with its scores.

    What is done is kept problem by problem, and an interrupted run goes on with the next problem.
    """
    scores: list[Score] = []
    curves: list[Curve] = []
    tables: list[tuple[str, list[Score]]] = []
    for number, name in enumerate(names):
        path = report.checkpoints / f"{name}.json"
        if report.resume and path.exists():
            title, found, drawn = _kept(path)
            report.progress(f"{name}: kept from before")
        else:
            with report.stage(f"{name}: the law and its truth"):
                match = match_of(number)
            title, found, drawn = match.title, [], []
            for place, (sampler, package) in enumerate(match.players):
                with report.stage(f"{name}: {sampler} ({package})"):
                    score, curve = match.play(place)
                found.append(score)
                drawn += [] if curve is None else [league_scores.thinned(curve)]
            _keep(path, title, found, drawn)
        for score in found:
            report.metrics(**score._asdict())
        scores += found
        curves += drawn
        tables.append((title, found))
    return scores, curves, tables


def timed(program: Callable[..., Any], arguments: Sequence[Any], repeats: int) -> tuple[Any, float]:
    """The result of a compiled program, and the least processor time of several calls.

    Processor time is that of all threads together, so that other work on the machine, and more cores, change little.
    """
    result, seconds = None, []
    for _ in range(repeats):
        begun = time.process_time()
        result = jax.block_until_ready(program(*arguments))
        seconds.append(time.process_time() - begun)
    assert result is not None
    return result, min(seconds)


def tell(report: Report, scores: list[Score], peers: dict[str, str | None]) -> None:
    """The headline figures, and a list of who failed. `peers` has the version of each peer that could play."""
    passed = [score for score in scores if not score.failures]
    best: dict[str, str] = {}
    ratios: dict[str, float] = {}
    for name in dict.fromkeys(score.problem for score in scores):
        here = [score for score in passed if score.problem == name]
        if here:
            first = max(here, key=lambda score: score.per_thousand)
            best[name] = f"{first.sampler} ({first.package})"
        mine, others = ([score.per_second for score in here if (score.package == OURS) == own] for own in (True, False))
        if mine and others:
            ratios[name] = float(f"{max(mine) / max(others):.3g}")
    report.summary(
        problems=len(dict.fromkeys(score.problem for score in scores)),
        pairs=len(scores),
        pairs_that_pass=len(passed),
        best_for_an_evaluation=best,
        best_of_ours_over_best_of_peers_per_second=ratios,
        **{name.lower(): version or "not installed" for name, version in peers.items()},
    )
    missing = [name for name, version in peers.items() if version is None]
    report.text(
        f"Of {len(scores)} pairs of a law and a sampler, **{len(passed)} pass all gates**. "
        + "".join(f"{name} is **not installed** and does not play. " for name in missing)
        + f"Seconds are processor time, of a run on {_cores()}."
    )
    failing = [score for score in scores if score.failures]
    listed = lambda own: _listed([score for score in failing if (score.package == OURS) == own])
    report.text("**Ours that fail:** " + listed(True) + ".")
    report.text(f"**Those of {', '.join(peers)} that fail:** " + listed(False) + ".")


def _listed(scores: list[Score]) -> str:
    names: dict[str, list[str]] = {}
    for score in scores:
        names.setdefault(score.problem, []).append(f"{score.sampler} ({'; '.join(score.failures)})")
    return ". ".join(f"{problem}: {', '.join(each)}" for problem, each in names.items()) or "none"


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "one core" if usable == 1 else f"{usable} cores"


def _keep(path: Path, title: str, scores: list[Score], curves: list[Curve]) -> None:
    parts = {"scores": [score._asdict() for score in scores], "curves": [curve._asdict() for curve in curves]}
    write(path, dumps({"title": title, **parts}))


def _kept(path: Path) -> tuple[str, list[Score], list[Curve]]:
    content = json.loads(path.read_text())
    scores = [read_score(fields) for fields in content["scores"]]
    arrays = lambda fields: {name: np.asarray(fields[name], float) for name in ("work", "error")}
    return content["title"], scores, [Curve(**(fields | arrays(fields))) for fields in content["curves"]]


def read_score(fields: dict[str, Any]) -> Score:
    """A score from what JSON holds of it, which has no infinity and no NaN but in words.

    >>> read_score(json.loads(dumps(Score("x", "y", "z", ("R-hat inf",), *[float("inf")] * 12)._asdict()))).ess
    inf
    """
    words = ("problem", "sampler", "package", "failures")
    values: dict[str, Any] = {name: value if name in words else float(value) for name, value in fields.items()}
    return Score(**values)._replace(failures=tuple(fields["failures"]))
