"""JAX's persistent compilation cache: a program is compiled once, and later runs read it from disk."""

import os
import tempfile
from pathlib import Path
from typing import Any

import jax


def folder() -> Path:
    """Where compiled programs are kept: `$XDG_CACHE_HOME/ebmjax/jax`, or `~/.cache/ebmjax/jax`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    root = Path(home) if Path(home).is_absolute() else Path(os.path.expanduser("~")) / ".cache"
    return root / "ebmjax" / "jax"


def enable() -> Path | None:
    """Switch the cache on; call it before the first compilation of the process.

    A folder that the user chose (`JAX_COMPILATION_CACHE_DIR`) is used. If the folder cannot be written, programs run
    without a cache.

    Returns:
        The folder of the cache, or None without a cache.
    """
    config: Any = jax.config  # its options are made at run time; a type checker does not know them
    chosen = Path(os.path.expanduser(config.jax_compilation_cache_dir or folder()))
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            pass
    except OSError:
        config.update("jax_compilation_cache_dir", None)
        return None
    config.update("jax_compilation_cache_dir", str(chosen))
    # By default JAX keeps only programs that took a second to compile. An experiment compiles dozens of small programs
    # of some 30 ms each, which together take most of the time of a start with a filled cache.
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return chosen
