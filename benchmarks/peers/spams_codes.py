"""SPAMS's coders in float32 on one thread: coordinate descent and LARS, both on the Gram matrix.

Codes are returned as they come, sparse, an atom a row.
"""

import numpy as np
import scipy.sparse
import spams


def coordinate_descent(dictionary, data, weight, tolerance):
    """`spams.cd`, from codes of zero."""
    observations, atoms = np.asfortranarray(data.T), np.asfortranarray(dictionary)
    start = scipy.sparse.csc_matrix((dictionary.shape[1], len(data)), dtype=np.float32)
    options = {"lambda1": weight, "mode": 2, "itermax": 10_000, "tol": tolerance, "numThreads": 1}
    return lambda: spams.cd(observations, atoms, start, **options)


def least_angle(dictionary, data, weight, tolerance):
    """`spams.lasso`, exact up to rounding: there is no tolerance to set."""
    observations, atoms = np.asfortranarray(data.T), np.asfortranarray(dictionary)
    return lambda: spams.lasso(observations, D=atoms, lambda1=weight, mode=2, numThreads=1)
