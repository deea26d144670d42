"""The C side of the density of states in the group `free_energy`: `wang_landau.c`, compiled at its first use."""

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers.c_ising import COMPILER, FLAGS


class Walk:
    """Multicanonical walkers of a square Ising lattice in the memory of C. Each call of `run` continues."""

    def __init__(self, spins: np.ndarray, log_density: np.ndarray, seed: int):
        self._spins = np.ascontiguousarray(spins, np.int8)
        self._log_density = np.ascontiguousarray(log_density, np.float64)
        self._seed = seed

    def run(self, sweeps: int) -> np.ndarray:
        """The histogram of the energies, -2n, -2n + 4, …, 2n, of all walkers in these sweeps, every fourth visit."""
        walkers, side, _ = self._spins.shape
        counts = np.zeros(side**2 + 1, np.uint64)
        self._seed += 1
        arguments = (self._spins.ctypes.data, walkers, side, self._log_density.ctypes.data, sweeps, self._seed)
        library().walk(*arguments, counts.ctypes.data)
        return counts.astype(np.float64)


@functools.cache
def library() -> ctypes.CDLL:
    """Compile `wang_landau.c` and load it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "wang_landau.so")
        source = Path(__file__).with_name("wang_landau.c")
        subprocess.run([COMPILER, *FLAGS, "-o", path, source, "-lm"], check=True)
        loaded = ctypes.CDLL(str(path))
    pointer, whole = ctypes.c_void_p, ctypes.c_long
    loaded.walk.argtypes = (pointer, whole, whole, pointer, whole, ctypes.c_uint64, pointer)
    loaded.walk.restype = None
    return loaded
