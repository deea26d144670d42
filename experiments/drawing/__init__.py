"""Figures: `plots` (shared drawings), `beta_axis` (inverse temperatures) and `mosaics` (many small pictures).

The style of all figures is `house.mplstyle`, in matplotlib's own format.
"""
