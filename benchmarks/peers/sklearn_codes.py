"""scikit-learn's side of the group `sparse`: its Lasso in float32, with a Gram matrix that is computed once."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso


def gram_lasso(dictionary, data, weight, tolerance):
    """One fit of all patches; each patch is a target."""
    atoms, targets = np.asfortranarray(dictionary), np.asfortranarray(data.T)
    gram = np.ascontiguousarray(atoms.T @ atoms)
    model = Lasso(
        weight / len(atoms), precompute=gram, fit_intercept=False, copy_X=False, tol=tolerance, max_iter=10_000
    )

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(atoms, targets).coef_

    return run
