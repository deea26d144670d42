"""scikit-learn's Lasso in float32, with the Gram matrix computed ahead for all patches."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso


def gram_lasso(dictionary, data, weight, tolerance):
    """One fit for all patches, as targets."""
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
