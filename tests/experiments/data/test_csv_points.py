"""A user's file is read as meant, or refused in one line that says where."""

import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from experiments.data.csv_points import read

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
    points = read(path)
    assert points.columns == columns
    assert points.values.dtype == np.float32
    np.testing.assert_array_equal(points.values, values)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["got an empty file", "wanted the columns y1,y2"]),
        (b"\n\n", ["got an empty file"]),
        (b"\xef\xbb\xbf", ["got an empty file"]),
        (b"y1,y2\n", ["got 0 rows", "at least 3"]),
        (b"y1,y2\n1,2\n3,4\n", ["got 2 rows", "at least 3"]),
        (b"y1\n1\n2\n3\n", ["row 1", "lacks y2", "'y1'", "wanted the columns y1,y2"]),
        (b"a,b\n" + ROWS, ["row 1", "lacks y1 and y2", "'a,b'"]),
        (ROWS, ["row 1", "lacks y1 and y2", "'1,2'"]),
        (b"y1;y2\n1;2\n3;4\n5;6\n", ["row 1", "'y1;y2'"]),
        (b"Y1,Y2\n" + ROWS, ["row 1", "'Y1,Y2'"]),
        (b"y1,y2,weight\n1,2,3\n1,2,3\n1,2,3\n", ["row 1", "also has 'weight'"]),
        (b"y1,y2,y2\n1,2,3\n1,2,3\n1,2,3\n", ["row 1", "repeats y2"]),
        (b"y1,y2\n1,2\nthree,4\n5,6\n", ["row 3", "column y1", "'three'", "a number"]),
        (b"y2,y1\n1,2\n3,four\n5,6\n", ["row 3", "column y1", "'four'"]),
        (b"y1,y2\n1,2\n3,nan\n5,6\n", ["row 3", "column y2", "'nan'", "finite"]),
        (b"y1,y2\n1,2\n3,4\n-inf,6\n", ["row 4", "column y1", "'-inf'", "finite"]),
        (b"y1,y2\n1,2\n3,1e39\n5,6\n", ["row 3", "'1e39'", "float32"]),
        (b"y1,y2\n1,2\n3,1_000\n5,6\n", ["row 3", "'1_000'"]),
        (b"y1,y2\n1,2\n3,\n5,6\n", ["row 3", "column y2", "empty cell"]),
        (b"y1,y2\n1,2\n3\n5,6\n", ["row 3", "got 1 cells, wanted 2"]),
        (b"y1,y2\n1,2\n3,4,5\n5,6\n", ["row 3", "got 3 cells, wanted 2"]),
        (b"y1,y2\n1,2\n\n3,4\n5,6\n", ["row 3", "got 0 cells, wanted 2"]),
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
    with pytest.raises(ArgumentError, match=r"points\.csv") as raised:
        read(path)
    said = str(raised.value)
    assert "\n" not in said
    assert len(said) < 300 + len(str(path))
    for fragment in ["got", "wanted", *fragments]:
        assert fragment in said


def test_what_is_no_file_is_refused(tmp_path):
    for path, fragment in [(tmp_path / "none.csv", "got no file of this name"), (tmp_path, "got a folder")]:
        with pytest.raises(ArgumentError, match=fragment):
            read(path)
    with pytest.raises(ArgumentError, match="got an error of reading"):
        read(tmp_path / ("long" * 100))
    with pytest.raises(ArgumentError, match="wanted a regular CSV file"):
        read("/dev/zero")
