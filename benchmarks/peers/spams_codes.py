"""SPAMS's side of the group `sparse`: coordinate descent and LARS on the Gram matrix, in float32, on one thread.

LARS is also there in float64, since at small weights it does not reach the least energy in float32.

Codes are returned as SPAMS's sparse matrices (atoms, samples).
"""

import numpy as np
import scipy.sparse
import spams


def coordinate_descent(dictionary, data, weight, tolerance):
    """`spams.cd`, started at zero."""
    observations, atoms = np.asfortranarray(data.T), np.asfortranarray(dictionary)
    start = scipy.sparse.csc_matrix((dictionary.shape[1], len(data)), dtype=np.float32)
    options = {"lambda1": weight, "mode": 2, "itermax": 10_000, "tol": tolerance, "numThreads": 1}
    return lambda: spams.cd(observations, atoms, start, **options)


def least_angle(dictionary, data, weight, tolerance):
    """`spams.lasso`, which is exact up to rounding and has no tolerance."""
    observations, atoms = np.asfortranarray(data.T), np.asfortranarray(dictionary)
    return lambda: spams.lasso(observations, D=atoms, lambda1=weight, mode=2, numThreads=1)


def least_angle_64(dictionary, data, weight, tolerance):
    """`least_angle` in float64."""
    return least_angle(dictionary.astype(np.float64), data.astype(np.float64), weight, tolerance)
