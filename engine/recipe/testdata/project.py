"""Writes project.json: components of scikit-learn's PCA and TruncatedSVD.

Run with: .cache/oracle/bin/python engine/recipe/testdata/project.py   (scikit-learn 1.9.1, numpy 2.4.6)
"""

import json
import os

import numpy as np
import sklearn
from sklearn.decomposition import PCA, TruncatedSVD

rng = np.random.default_rng(4)
cases = []
for rows, columns in ((80, 5), (20, 6)):
    x = (rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) + rng.normal(size=columns)).round(3)
    for op, n in (("pca", 2), ("pca", 5), ("pca", 0.9), ("pca", 0.5), ("truncated_svd", 3)):
        m = PCA(n_components=n, svd_solver="full") if op == "pca" else TruncatedSVD(n_components=n, algorithm="arpack", tol=1e-14)
        scores = m.fit_transform(x)
        cases.append({"op": op, "components": n, "x": x.T.tolist(), "weights": m.components_.tolist(),
                      "explained": m.explained_variance_ratio_.tolist(), "scores": scores[:5].tolist()})
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "project.json")
with open(path, "w") as f:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": np.__version__}, "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
