"""SPORCO's side of convolutional sparse coding."""

import numpy as np
from sporco.admm import cbpdn


def code(kernels: np.ndarray, picture: np.ndarray, weight: float, steps: int) -> np.ndarray:
    """`ConvBPDN.solve` for a number of iterations: ADMM with Sherman-Morrison, over-relaxed, its penalty adapted.

    Its defaults are what its author recommends (relaxation 1.8, AutoRho with every iteration). In single precision,
    with `FastSolve`, which leaves the objective of each iteration out, and with `HighMemSolve`, its faster solver;
    the sparse variable Y is returned, whose objective is the lower one.

    Args:
        kernels: (filters, rows, columns).
        picture: (rows, columns), taken to close on itself.

    Returns:
        maps (filters, rows, columns), with this library's placing of kernels.
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
