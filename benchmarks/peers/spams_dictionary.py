"""SPAMS's side of online dictionary learning."""

import numpy as np
import spams


def fit(first: np.ndarray, data: np.ndarray, weight: float, batch: int) -> np.ndarray:
    """`spams.trainDL`, the program of Mairal et al.'s paper, for one pass over the data, on one thread.

    Args:
        first: (observed, atoms), float32, in Fortran's order.
        data: (observed, samples), the same: its own layout, so that nothing is copied.
        batch: samples an update; what does not fill one is left out.

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
