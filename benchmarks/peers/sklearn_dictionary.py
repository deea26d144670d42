"""scikit-learn's side of online dictionary learning."""

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning


def fit(first: np.ndarray, data: np.ndarray, weight: float, batch: int, algorithm: str) -> np.ndarray:
    """`MiniBatchDictionaryLearning.fit` for one pass over the data, on one thread.

    Args:
        first: (observed, atoms); float32, in which it then computes, as the data.
        data: (samples, observed).
        batch: samples an update.
        algorithm: "lars" or "cd", what finds the codes.

    Returns:
        the dictionary (observed, atoms).
    """
    model = MiniBatchDictionaryLearning(
        first.shape[1],
        alpha=weight,
        max_iter=1,
        fit_algorithm=algorithm,
        batch_size=batch,
        dict_init=np.ascontiguousarray(first.T),
        random_state=0,
        tol=0.0,  # no early end
        max_no_improvement=None,
    )
    return model.fit(data).components_.T
