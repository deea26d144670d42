"""The problems of `sampler_league`: laws with their truth, and where the ladders begin on those with barriers."""

import enum
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer

from ebmjax.problems.laws.banana import banana
from ebmjax.problems.laws.eight_schools import eight_schools
from ebmjax.problems.laws.ellipse_posterior import ellipse_posterior
from ebmjax.problems.laws.funnel import funnel
from ebmjax.problems.laws.gaussian import gaussian
from ebmjax.problems.laws.logistic import logistic_regression
from ebmjax.problems.laws.many_well import many_well
from ebmjax.problems.laws.mixture import mixture
from ebmjax.problems.laws.problem import Problem
from ebmjax.problems.laws.radon import radon
from ebmjax.problems.laws.volatility import stochastic_volatility
from experiments.samplers import references


class Which(enum.Enum):
    """The problems, by their names on the command line."""

    GAUSSIAN_1 = "gaussian_1"
    GAUSSIAN_100 = "gaussian_100"
    GAUSSIAN_10000 = "gaussian_10000"
    BANANA = "banana"
    FUNNEL = "funnel"
    SCHOOLS = "eight_schools"
    LOGISTIC = "logistic"
    VOLATILITY = "volatility"
    RADON = "radon"
    MIXTURE = "mixture"
    ELLIPSE_1 = "ellipse_1"
    ELLIPSE_100 = "ellipse_100"
    ELLIPSE_10000 = "ellipse_10000"
    MANY_WELL = "many_well"


class Entry(NamedTuple):
    """A problem of the league."""

    problem: Problem
    hottest: float | None
    """The least beta of a ladder, as a share of the problem's beta; None where there is one minimum."""


def entry(which: Which) -> Entry:
    """The problem of a name, with its truth: exact, or of a record in `references`, where there is one."""
    make, hottest = _MAKERS[which]
    problem = make()
    if problem.truth is None:
        problem = problem._replace(truth=references.read(which.value))
    return Entry(problem, hottest)


def breast_cancer() -> Problem:
    """Logistic regression on the breast-cancer data of scikit-learn: 569 samples of 30 features, standardized.

    The German credit data, which others use, are in no package.
    """
    features, labels = load_breast_cancer(return_X_y=True)
    features = np.asarray(features, np.float64)
    standardized = (features - features.mean(axis=0)) / features.std(axis=0)
    return logistic_regression(standardized.astype(np.float32), np.asarray(labels, np.float32))


_MAKERS: dict[Which, tuple[Callable[[], Problem], float | None]] = {
    Which.GAUSSIAN_1: (lambda: gaussian(50, 1.0), None),
    Which.GAUSSIAN_100: (lambda: gaussian(50, 100.0), None),
    Which.GAUSSIAN_10000: (lambda: gaussian(50, 1e4), None),
    Which.BANANA: (banana, None),
    Which.FUNNEL: (funnel, None),
    Which.SCHOOLS: (eight_schools, None),
    Which.LOGISTIC: (breast_cancer, None),
    Which.VOLATILITY: (stochastic_volatility, None),
    Which.RADON: (radon, None),
    Which.MIXTURE: (mixture, 0.02),
    Which.ELLIPSE_1: (ellipse_posterior, 0.1),
    Which.ELLIPSE_100: (lambda: ellipse_posterior(100.0), 1e-2),
    Which.ELLIPSE_10000: (lambda: ellipse_posterior(1e4), 1e-4),
    Which.MANY_WELL: (many_well, 0.1),
}
