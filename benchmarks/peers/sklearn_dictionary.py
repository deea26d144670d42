"""scikit-learn's side of online dictionary learning."""

import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning


def fit(first: np.ndarray, data: np.ndarray, weight: float, batch: int) -> np.ndarray:
    """`MiniBatchDictionaryLearning.fit` for one pass over the data, on one thread, coding by coordinate descent.

    float64 is its fast choice here: its tolerance of 1e-8 is out of reach in float32, which takes nine times as long
    and warns over and over. LARS takes as long in either precision.

    Args:
        first: (observed, atoms); it computes in its dtype and that of the data.
        data: (samples, observed).
        batch: samples an update.

    Returns:
        the dictionary (observed, atoms).
    """
    model = MiniBatchDictionaryLearning(
        first.shape[1],
        alpha=weight,
        max_iter=1,
        fit_algorithm="cd",
        batch_size=batch,
        dict_init=np.ascontiguousarray(first.T),
        random_state=0,
        tol=0.0,  # no early end
        max_no_improvement=None,
    )
    return model.fit(data).components_.T
