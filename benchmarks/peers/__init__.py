"""The other side of every comparison, in its own best form."""
