"""SPORCO's side of convolutional sparse coding."""

import numpy as np
from sporco.admm import cbpdn


def code(kernels: np.ndarray, picture: np.ndarray, weight: float, steps: int) -> np.ndarray:
    """`ConvBPDN.solve` for a number of steps: over-relaxed ADMM with Sherman-Morrison and an adapted penalty.

    The options are the defaults, which its author recommends (relaxation 1.8, AutoRho in every step), in single
    precision, with `FastSolve`, which does not compute the objective of each step, and with the faster `HighMemSolve`.
    Of its two solutions the sparse one, Y, is returned, whose objective is lower.

    Args:
        kernels: (filters, rows, columns).
        picture: (rows, columns), with a periodic boundary.
        weight: λ.
        steps: number of steps.

    Returns:
        maps (filters, rows, columns), with kernels placed as in this library.
    """
    options = cbpdn.ConvBPDN.Options(
        {
            "Verbose": False,
            "MaxMainIter": steps,
            "RelStopTol": 0.0,
            "FastSolve": True,
            "HighMemSolve": True,
            "DataType": np.float32,
        }
    )
    solver = cbpdn.ConvBPDN(np.moveaxis(kernels, 0, -1), picture, weight, options)
    solver.solve()
    return np.moveaxis(solver.Y.squeeze(axis=(2, 3)), -1, 0)
