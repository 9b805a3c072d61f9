#!/usr/bin/python3
"""Make the data files beside this script from Debian's python3-sklearn package.

    apt install python3-sklearn && /usr/bin/python3 samples/data/prepare.py

The files are committed, so nobody has to run this; it records how they were
made.  digits: the rows are put in the order of digits-permutation.txt (itself
made once, by numpy's default_rng(0).permutation(1797)); the first 1,437 are
for training.  diabetes: split the same way (354 and 88 rows), features
standardized with the training rows' mean and deviation.
"""
import gzip
import io
import os

import numpy as np
import sklearn.datasets

here = os.path.dirname(os.path.abspath(__file__))
package = os.path.join(os.path.dirname(sklearn.datasets.__file__), "data")


def write(name, header, rows, formats):
    text = io.StringIO()
    text.write(",".join(header) + "\n")
    for row in rows:
        text.write(",".join(f % v for f, v in zip(formats, row)) + "\n")
    with open(os.path.join(here, name), "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as out:
            out.write(text.getvalue().encode())


def permutation(count, name):
    path = os.path.join(here, name)
    if not os.path.exists(path):
        np.savetxt(path, np.random.default_rng(0).permutation(count), "%d")
    return np.loadtxt(path, dtype=int)


def digits():
    rows = np.loadtxt(os.path.join(package, "digits.csv.gz"), delimiter=",", dtype=int)
    rows = rows[permutation(len(rows), "digits-permutation.txt")]
    header = ["p%d%d" % (y, x) for y in range(8) for x in range(8)] + ["digit"]
    write("digits-train.csv.gz", header, rows[:1437], ["%d"] * 65)
    write("digits-test.csv.gz", header, rows[1437:], ["%d"] * 65)


def diabetes():
    x = np.loadtxt(os.path.join(package, "diabetes_data_raw.csv.gz"))
    y = np.loadtxt(os.path.join(package, "diabetes_target.csv.gz"))
    order = permutation(len(x), "diabetes-permutation.txt")
    x, y = x[order], y[order]
    mean, deviation = x[:354].mean(0), x[:354].std(0)
    rows = np.column_stack([(x - mean) / deviation, y])
    header = "age sex bmi bp tc ldl hdl tch ltg glu progression".split()
    write("diabetes-train.csv.gz", header, rows[:354], ["%.5f"] * 10 + ["%g"])
    write("diabetes-test.csv.gz", header, rows[354:], ["%.5f"] * 10 + ["%g"])


digits()
diabetes()
