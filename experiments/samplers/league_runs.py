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

    What is done is kept player by player, and an interrupted run goes on with the next one.
    """
    scores: list[Score] = []
    curves: list[Curve] = []
    tables: list[tuple[str, list[Score]]] = []
    for number, name in enumerate(names):
        path = report.checkpoints / f"{name}.json"
        kept = _kept(path) if report.resume and path.exists() else {}
        with report.stage(f"{name}: the law and its truth"):
            match = match_of(number)
        found: dict[tuple[str, str], tuple[Score, Curve | None]] = {}
        for place, (sampler, package) in enumerate(match.players):
            if (sampler, package) in kept:
                found[sampler, package] = kept[sampler, package]
                continue
            with report.stage(f"{name}: {sampler} ({package})"):
                score, curve = match.play(place)
            found[sampler, package] = score, None if curve is None else league_scores.thinned(curve)
            _keep(path, kept | found)
        for score, _ in found.values():
            report.metrics(**score._asdict())
        scores += [score for score, _ in found.values()]
        curves += [curve for _, curve in found.values() if curve is not None]
        tables.append((match.title, [score for score, _ in found.values()]))
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


def _keep(path: Path, found: dict[tuple[str, str], tuple[Score, Curve | None]]) -> None:
    parts = [(score._asdict(), None if curve is None else curve._asdict()) for score, curve in found.values()]
    write(path, dumps(parts))


def _kept(path: Path) -> dict[tuple[str, str], tuple[Score, Curve | None]]:
    found: dict[tuple[str, str], tuple[Score, Curve | None]] = {}
    for score_fields, curve_fields in json.loads(path.read_text()):
        score, curve = read_score(score_fields), None
        if curve_fields is not None:
            arrays = {name: np.asarray(curve_fields[name], float) for name in ("work", "error")}
            curve = Curve(**(curve_fields | arrays))
        found[score.sampler, score.package] = score, curve
    return found


def read_score(fields: dict[str, Any]) -> Score:
    """A score from what JSON holds of it, which has no infinity and no NaN but in words.

    >>> read_score(json.loads(dumps(Score("x", "y", "z", ("R-hat inf",), *[float("inf")] * 12)._asdict()))).ess
    inf
    """
    words = ("problem", "sampler", "package", "failures")
    values: dict[str, Any] = {name: value if name in words else float(value) for name, value in fields.items()}
    return Score(**values)._replace(failures=tuple(fields["failures"]))
