"""Data for experiments.

- Real data: `images` (digits and clothes), `natural` (photographs and their patches), `coin_contours` (outlines of
  coins), `csv_points` (points in a user's file), `folders` (pictures in a user's folder).
- Problems with known answers: `densities` (of the plane), `glasses` (spin glasses).
"""
