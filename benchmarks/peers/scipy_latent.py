"""SciPy's side of the group `latent`."""

import numpy as np
from scipy.special import logsumexp


def free_energy(y: np.ndarray, points: np.ndarray, betas: np.ndarray, chunk: int) -> np.ndarray:
    """F_beta (betas, samples) by `scipy.special.logsumexp` in float32, for `chunk` rows of y at a time."""
    parts = []
    for start in range(0, len(y), chunk):
        energy = np.square(y[start : start + chunk, None] - points).sum(-1)
        scaled = energy * -betas[:, None, None]
        parts.append((logsumexp(scaled, axis=-1) - np.float32(np.log(len(points)))) / -betas[:, None])
    return np.concatenate(parts, axis=1)
