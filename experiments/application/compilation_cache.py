"""JAX's persistent compilation cache: a program compiled once is read from disk by every later run."""

import os
import tempfile
from pathlib import Path
from typing import Any

import jax


def folder() -> Path:
    """Where compiled programs are kept: `$XDG_CACHE_HOME/ebmjax/jax`, or `~/.cache/ebmjax/jax`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    root = Path(home) if Path(home).is_absolute() else Path(os.path.expanduser("~")) / ".cache"
    return root / "ebmjax" / "jax"


def enable() -> Path | None:
    """Switch the cache on, before the first compilation of the process.

    A folder that the user chose (`JAX_COMPILATION_CACHE_DIR`) is kept. A cache is a convenience: where its folder
    cannot be written, work goes on without one.

    Returns:
        The cache's folder, or None without a cache.
    """
    config: Any = jax.config  # its options are made at run time, unknown to a type checker
    chosen = Path(config.jax_compilation_cache_dir or folder())
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            pass
    except OSError:
        config.update("jax_compilation_cache_dir", None)
        return None
    config.update("jax_compilation_cache_dir", str(chosen))
    # By default only what took a second to compile is kept. An experiment compiles dozens of small programs, at some
    # 30 ms each: together they are most of a warm start.
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return chosen
