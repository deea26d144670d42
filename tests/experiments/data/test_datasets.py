"""A user's file is read as meant, or refused in one line that says where; the coins are the coins."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters, measure

from experiments.data.datasets import coin_contours, read_points

ROWS = b"1,2\n3,4\n5,6\n"
VALUES = [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("content", "columns", "values"),
    [
        (b"y1,y2\n" + ROWS, ("y1", "y2"), VALUES),
        (b"y2,y1\n2,1\n4,3\n6,5\n", ("y1", "y2"), VALUES),
        (b"y2,x,y1\n" + b"3,1,2\n" * 3, ("x", "y1", "y2"), [[1, 2, 3]] * 3),
        (b"\xef\xbb\xbfy1,y2\r\n1,2\r\n3,4\r\n5,6\r\n", ("y1", "y2"), VALUES),
        (b"y1,y2\r1,2\r3,4\r5,6", ("y1", "y2"), VALUES),
        (b' "y1" , y2\n "1" ,"2"\n 3 , 4\n5,6.0', ("y1", "y2"), VALUES),
        (b"y1,y2\n" + ROWS + b"\n\n   \n", ("y1", "y2"), VALUES),
        (b"y1,y2\n+1e0,2.\n3,.4e1\n-0,6\n", ("y1", "y2"), [[1, 2], [3, 4], [0, 6]]),
    ],
)
def test_points_are_read(tmp_path, content, columns, values):
    path = tmp_path / "points.csv"
    path.write_bytes(content)
    points = read_points(path)
    assert points.columns == columns
    assert points.values.dtype == np.float32
    np.testing.assert_array_equal(points.values, values)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["is empty", "expected the columns y1,y2"]),
        (b"\n\n", ["is empty"]),
        (b"\xef\xbb\xbf", ["is empty"]),
        (b"y1,y2\n", ["holds 0 rows", "at least 3"]),
        (b"y1,y2\n1,2\n3,4\n", ["holds 2 rows", "at least 3"]),
        (b"y1\n1\n2\n3\n", ["row 1", "lacks y2", "'y1'", "expected the columns y1,y2"]),
        (b"a,b\n" + ROWS, ["row 1", "lacks y1 and y2", "'a,b'"]),
        (ROWS, ["row 1", "lacks y1 and y2", "'1,2'"]),
        (b"y1;y2\n1;2\n3;4\n5;6\n", ["row 1", "'y1;y2'"]),
        (b"Y1,Y2\n" + ROWS, ["row 1", "'Y1,Y2'"]),
        (b"y1,y2,weight\n1,2,3\n1,2,3\n1,2,3\n", ["row 1", "not wanted", "'weight'"]),
        (b"y1,y2,y2\n1,2,3\n1,2,3\n1,2,3\n", ["row 1", "repeats y2"]),
        (b"y1,y2\n1,2\nthree,4\n5,6\n", ["row 3", "column y1", "'three'", "a number"]),
        (b"y2,y1\n1,2\n3,four\n5,6\n", ["row 3", "column y1", "'four'"]),
        (b"y1,y2\n1,2\n3,nan\n5,6\n", ["row 3", "column y2", "'nan'", "finite"]),
        (b"y1,y2\n1,2\n3,4\n-inf,6\n", ["row 4", "column y1", "'-inf'", "finite"]),
        (b"y1,y2\n1,2\n3,1e39\n5,6\n", ["row 3", "'1e39'", "float32"]),
        (b"y1,y2\n1,2\n3,1_000\n5,6\n", ["row 3", "'1_000'"]),
        (b"y1,y2\n1,2\n3,\n5,6\n", ["row 3", "column y2", "empty"]),
        (b"y1,y2\n1,2\n3\n5,6\n", ["row 3", "got 1 cells, expected 2"]),
        (b"y1,y2\n1,2\n3,4,5\n5,6\n", ["row 3", "got 3 cells, expected 2"]),
        (b"y1,y2\n1,2\n\n3,4\n5,6\n", ["row 3", "got 0 cells, expected 2"]),
        (b'y1,y2\n"1\n",2\n3,four\n5,6\n', ["row 4", "'four'"]),
        (b'y1,y2\n1,2\n3,"4\n5,6\n', ["row 3", "column y2", "4"]),
        (b"y1,y2\n1,2\n3,\xff\n5,6\n", ["row 3", "not UTF-8"]),
        (b"y1,y2\n1,2\n3,\x004\n5,6\n", ["row 3", "NUL"]),
        ("y1,y2\n1,2\n3,4\n5,6\n".encode("utf-16"), ["row 1", "not UTF-8"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["row 1"]),
        (b"y1,y2\n1," + b"9" * 200_000 + b"\n", ["row 2"]),
        (b"y1,y2\n1,2\n3," + b"x" * 1000 + b"\n5,6\n", ["row 3", "xxx…"]),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_says_where(tmp_path, content, fragments):
    path = tmp_path / "points.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"points\.csv") as raised:
        read_points(path)
    said = str(raised.value)
    assert "\n" not in said
    assert len(said) < 300 + len(str(path))
    for fragment in ["expected", *fragments]:
        assert fragment in said


def test_what_is_no_file_is_refused(tmp_path):
    for path, fragment in [(tmp_path / "none.csv", "does not exist"), (tmp_path, "is a folder")]:
        with pytest.raises(ValueError, match=fragment):
            read_points(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_points(tmp_path / ("long" * 100))
    with pytest.raises(ValueError, match="not a regular file"):
        read_points("/dev/zero")


def test_the_coins_are_outlined():
    coins = coin_contours(96)
    assert coins.picture.shape == (303, 384)
    assert coins.picture.dtype == np.uint8
    assert coins.contours.shape == (24, 96, 2)
    assert coins.contours.dtype == np.float32
    assert coins.contours.min() >= 0
    assert (coins.contours.max(axis=(0, 1)) < [384, 303]).all()
    edges = filters.sobel(coins.picture)
    for outline in coins.contours:
        steps = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
        assert steps.max() < 1.1 * np.median(steps)  # even, and closed
        assert 900 < measure.grid_points_in_poly(coins.picture.shape, outline[:, ::-1]).sum() < 4500
        # The outline lies on the picture's edges: larger, smaller or mirrored at its diagonal it would not.
        centre = outline.mean(axis=0)
        others = [1.1 * (outline - centre), 0.9 * (outline - centre), (outline - centre)[:, ::-1]]
        here, *elsewhere = (mean_along(edges, points) for points in (outline, *(other + centre for other in others)))
        assert here > max(elsewhere)


def mean_along(picture, points):
    return ndimage.map_coordinates(picture, points[:, ::-1].T, order=1).mean()


def test_coins_need_three_points_an_outline():
    with pytest.raises(ValueError, match="points is 2, expected at least 3"):
        coin_contours(2)
