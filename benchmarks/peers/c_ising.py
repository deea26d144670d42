"""The C side of the group `spins`: `multispin.c`, compiled at its first use."""

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

import numpy as np

BITS = 24
"""Random bits for an acceptance, as many as a float32 uniform has."""

COMPILER = "cc"
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


def available() -> bool:
    """Whether there is a C compiler."""
    return shutil.which(COMPILER) is not None


def version() -> str:
    """The compiler and its version."""
    said = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout
    number = re.search(r"\d+\.\d+\.\d+", said)
    return f"{COMPILER} {number.group() if number else 'of unknown version'}"


class Ising:
    """Lattices in the memory of C. Each call of `run` continues from the last state.

    All spins are +1 at the start, or random where `hot`. Raises ValueError for a shape or a number of chains that does
    not fit into whole words.
    """

    def __init__(self, shape: tuple[int, int], chains: int | None, beta: float, seed: int, hot: bool = False):
        rows, columns = shape
        strips = chains is None
        if strips and (rows % 128 or columns % 16):
            raise ValueError(f"shape: got {shape}, wanted rows a multiple of 128 and columns a multiple of 16")
        if not strips and (rows % 2 or columns % 2 or chains % 64 or columns // 2 * chains % 512):
            raise ValueError(
                f"chains, shape: got {chains} chains of {shape}, wanted even sides, chains a multiple of 64 and "
                "chains x columns / 2 a multiple of 512"
            )
        words = 1 if strips else chains // 64
        self._shape = (2, rows // 64 if strips else rows, columns // 2, words)
        self._strips = strips
        self._library = library(BITS)
        self._model = self._library.ising_create(self._shape[1], columns, words, strips, hot, beta, seed)
        weakref.finalize(self, self._library.ising_destroy, self._model)

    def run(self, sweeps: int) -> float:
        """Make sweeps from the last state, and return the mean energy per spin of the new state."""
        self._library.ising_run(self._model, sweeps)
        return self._library.ising_energy(self._model)

    def spins(self) -> np.ndarray:
        """The state as -1 and +1, (chains, rows, columns); one chain where a bit is a strip of one lattice."""
        words = np.empty(self._shape, np.uint64)
        self._library.ising_copy(self._model, words.ctypes.data)
        _, rows, half, count = self._shape
        bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=-1, bitorder="little")
        lattice = np.empty((rows, 2 * half, 64 * count), np.int8)
        for row in range(rows):
            for colour in range(2):
                lattice[row, (row + colour) % 2 :: 2] = 2 * bits[colour, row].astype(np.int8) - 1
        chains = np.moveaxis(lattice, -1, 0)
        return chains.reshape(1, 64 * rows, 2 * half) if self._strips else chains


def sweeps_lattice(L: int, beta: float, sweeps: int, seed: int) -> float:
    """Energy per spin of one L × L lattice, one bit for each strip, averaged over the last half of the sweeps."""
    return _mean(Ising((L, L), None, beta, seed), sweeps)


def sweeps_chains(chains: int, L: int, beta: float, sweeps: int, seed: int) -> float:
    """Energy per spin of many L × L lattices, one bit for each chain, averaged over the last half of the sweeps."""
    return _mean(Ising((L, L), chains, beta, seed), sweeps)


def _mean(model, sweeps):
    model.run(sweeps - sweeps // 2)
    return float(np.mean([model.run(1) for _ in range(sweeps // 2)]))


@functools.cache
def library(bits: int) -> ctypes.CDLL:
    """Compile `multispin.c` and load it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "multispin.so")
        source = Path(__file__).with_name("multispin.c")
        subprocess.run([COMPILER, *FLAGS, f"-DBITS={bits}", "-o", path, source, "-lm"], check=True)
        loaded = ctypes.CDLL(str(path))
    loaded.ising_create.restype = ctypes.c_void_p
    whole, flag = ctypes.c_long, ctypes.c_int
    loaded.ising_create.argtypes = (whole, whole, whole, flag, flag, ctypes.c_double, ctypes.c_uint64)
    loaded.ising_run.argtypes = (ctypes.c_void_p, whole)
    loaded.ising_energy.argtypes = (ctypes.c_void_p,)
    loaded.ising_energy.restype = ctypes.c_double
    loaded.ising_copy.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    loaded.ising_destroy.argtypes = (ctypes.c_void_p,)
    return loaded
