"""celer's side of the group `sparse`: its Lasso in float32, which fits one patch at a time."""

import warnings

import celer
import numpy as np
from sklearn.exceptions import ConvergenceWarning


def lasso(dictionary, data, weight, tolerance):
    """One fit for each patch, in a Python loop."""
    atoms = np.asfortranarray(dictionary)
    model = celer.Lasso(weight / len(atoms), fit_intercept=False, tol=tolerance)

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return np.stack([model.fit(atoms, y).coef_ for y in data])

    return run
