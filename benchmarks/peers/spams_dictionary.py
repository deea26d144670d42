"""SPAMS's side of online dictionary learning."""

import numpy as np
import spams


def fit(first: np.ndarray, data: np.ndarray, weight: float, batch: int) -> np.ndarray:
    """`spams.trainDL`, the program of Mairal et al.'s paper, for one pass over the data, on one thread.

    Args:
        first: the first dictionary (observed, atoms), float32 in Fortran order, which SPAMS does not copy.
        data: (observed, samples), float32 in Fortran order.
        weight: λ.
        batch: samples in an update; samples that do not fill a batch are left out.

    Returns:
        the dictionary (observed, atoms).
    """
    return spams.trainDL(
        data,
        D=first,
        lambda1=weight,
        mode=2,  # the weight of the l1 norm is given
        batchsize=batch,
        iter=data.shape[1] // batch,
        numThreads=1,
        verbose=False,
    )
