"""Writes preprocessing.json: what scikit-learn makes of columns and of examples, for test/layers/preprocessing.test.ts and
test/train/split.test.ts. Debian's python3-sklearn (1.2.1) and python3-numpy.

    /usr/bin/python3 test/reference/make_preprocessing.py
"""

import json
import os

import numpy
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

random = numpy.random.RandomState(1)


def scaled(x):
    scaler = StandardScaler().fit(x)
    y = scaler.transform(x)
    return {"x": x.tolist(), "mean": scaler.mean_.tolist(), "variance": scaler.var_.tolist(), "y": y.tolist()}


columns = {
    "ordinary": random.randn(7, 3) * [1, 20, 0.05] + [0, -300, 1],
    "large offsets": numpy.array([[1e8 + 1, 1.7e9 + i, -1e6 - 0.25 * i] for i in range(5)] + [[1e8 - 1, 1.7e9, -1e6]]),
    "one row": numpy.array([[3.5, -2.0]]),
    "a constant": numpy.array([[0.1, i, 7.0] for i in range(9)]),
}


def folds(splitter, n, y=None, groups=None):
    return [test.tolist() for _, test in splitter.split(numpy.zeros((n, 1)), y, groups)]


splits = []
for n, count in [(10, 5), (11, 3), (7, 7), (23, 4)]:
    splits.append({"n": n, "folds": count, "tests": folds(KFold(count), n)})
for n, count, classes in [(12, 3, 2), (20, 4, 3), (31, 5, 4)]:
    y = random.permutation(numpy.arange(n) % classes)
    splits.append({"n": n, "folds": count, "stratify": y.tolist(), "tests": folds(StratifiedKFold(count), n, y)})
for n, count, kinds in [(12, 3, 4), (20, 4, 9), (31, 5, 12)]:
    groups = numpy.concatenate([numpy.arange(kinds), random.randint(0, kinds, n - kinds)])
    splits.append({"n": n, "folds": count, "groups": groups.tolist(), "tests": folds(GroupKFold(count), n, None, groups)})
for n, count, kinds, classes in [(14, 2, 6, 2), (24, 3, 9, 3), (40, 5, 15, 2)]:
    groups = numpy.concatenate([numpy.arange(kinds), random.randint(0, kinds, n - kinds)])
    y = random.permutation(numpy.arange(n) % classes)
    tests = folds(StratifiedGroupKFold(count), n, y, groups)
    splits.append({"n": n, "folds": count, "groups": groups.tolist(), "stratify": y.tolist(), "tests": tests})

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "preprocessing.json"), "w") as file:
    json.dump({"columns": {name: scaled(x) for name, x in columns.items()}, "splits": splits}, file)
    file.write("\n")
