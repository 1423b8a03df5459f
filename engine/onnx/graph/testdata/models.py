"""The pipelines of the zoo: small models on data sets that come with scikit-learn, and on texts and categories made here."""

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn import (
    calibration,
    cluster,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    random_projection,
    svm,
    tree,
)
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union

WORDS = "the a of ship sea wind sail port storm crew captain anchor rope deck night day calm rough salt wave tide harbour".split()
PLACES = ["oslo", "bergen", "stavanger", "tromsø", "bodø"]


def pipelines(seed):
    """Name and maker of each: a maker gives the fitted model, the rows to answer, and how it is converted."""
    rng = np.random.default_rng(seed)
    iris, species = load_iris(return_X_y=True)
    wine, sort = load_wine(return_X_y=True)
    cancer, malign = load_breast_cancer(return_X_y=True)
    diabetes, progress = load_diabetes(return_X_y=True)
    some = {"random_state": seed}
    sets = {
        "iris": (iris, species), "wine": (wine[:, :6], sort), "cancer": (cancer[:, :5], malign), "named": (iris, np.array(["setosa", "versicolor", "virginica"])[species]),
        "two_names": (cancer[:, :5], np.array(["benign", "malign"])[1 - malign]), "odd": (cancer[:, :5], np.array([3, 7])[malign]), "diabetes": (diabetes[:, :5], progress),
        "both": (diabetes[:, :5], np.stack([progress, progress[::-1]], 1)), "several": (iris, np.stack([species == 0, iris[:, 0] > 5.8], 1).astype(int)),
        "plus": (wine[:, :6] - wine[:, :6].min(0), sort),
    }  # fmt: skip

    def fit(model, of, how=None, holes=False, dtype=np.float32, train=150):
        X, y = sets[of]
        keep = rng.permutation(len(X))
        X, y = X[keep].astype(dtype), y[keep]
        if holes:
            X = X.copy()
            X[rng.random(X.shape) < 0.15] = np.nan
        model.fit(X[:train], y[:train])
        rows = X[-12:].copy()
        return model, rows, how or {}

    def fixed(model, *args, **kwargs):
        return lambda: fit(model(), *args, **kwargs)

    flat = lambda model: {"options": {id(model): {"zipmap": False}}}  # noqa: E731
    yield from scalers(fixed, some)
    yield from regressors(fixed, some)
    yield from classifiers(fixed, some)
    yield from boosters(fixed, some, flat)
    yield from texts(rng)
    yield from frames(rng, some)
    yield from special(fixed, fit, some)


def scalers(fixed, some):
    p, d, s = preprocessing, decomposition, feature_selection
    steps = {
        "standard": p.StandardScaler, "no_mean": lambda: p.StandardScaler(with_mean=False), "minmax": p.MinMaxScaler, "minmax_clip": lambda: p.MinMaxScaler((-1, 1), clip=True),
        "robust": p.RobustScaler, "maxabs": p.MaxAbsScaler, "l1": lambda: p.Normalizer("l1"), "l2": lambda: p.Normalizer("l2"), "max": lambda: p.Normalizer("max"),
        "binarizer": lambda: p.Binarizer(threshold=2.5), "polynomial": lambda: p.PolynomialFeatures(2), "interactions": lambda: p.PolynomialFeatures(3, interaction_only=True, include_bias=False),
        "power": lambda: p.PowerTransformer("yeo-johnson"), "bins": lambda: p.KBinsDiscretizer(3, encode="ordinal"), "bins_onehot": lambda: p.KBinsDiscretizer(3, encode="onehot-dense"),
        "quantile": lambda: p.QuantileTransformer(n_quantiles=10), "pca": lambda: d.PCA(2, **some), "white": lambda: d.PCA(2, whiten=True, **some), "svd": lambda: d.TruncatedSVD(2, **some),
        "incremental_pca": lambda: d.IncrementalPCA(2), "kernel_pca": lambda: d.KernelPCA(2, kernel="rbf"),
        "projection": lambda: random_projection.GaussianRandomProjection(2, **some), "best": lambda: s.SelectKBest(k=2), "percentile": lambda: s.SelectPercentile(percentile=50),
        "varied": lambda: s.VarianceThreshold(0.2), "rfe": lambda: s.RFE(linear_model.LogisticRegression(), n_features_to_select=2),
        "from_model": lambda: s.SelectFromModel(ensemble.RandomForestClassifier(5, **some)), "fpr": lambda: s.SelectFpr(), "fwe": lambda: s.SelectFwe(), "fdr": lambda: s.SelectFdr(),
        "union": lambda: make_union(p.StandardScaler(), d.PCA(2, **some)),
        "function": lambda: p.FunctionTransformer(), "lda_transform": lambda: discriminant_analysis.LinearDiscriminantAnalysis(),
    }  # fmt: skip
    for name, make in steps.items():
        yield name, fixed(make, "iris")
        if name in ("standard", "pca", "polynomial", "minmax", "l2", "quantile"):
            yield f"{name}_double", fixed(make, "iris", dtype=np.float64)
    fills = {
        "mean": impute.SimpleImputer, "median": lambda: impute.SimpleImputer(strategy="median"), "constant": lambda: impute.SimpleImputer(strategy="constant", fill_value=-1),
        "frequent": lambda: impute.SimpleImputer(strategy="most_frequent"), "indicator": lambda: impute.SimpleImputer(add_indicator=True), "knn": lambda: impute.KNNImputer(n_neighbors=3),
    }  # fmt: skip
    for name, make in fills.items():
        yield f"impute_{name}", fixed(make, "iris", holes=True)
    yield "cca", fixed(lambda: cross_decomposition.PLSRegression(2), "both")
    yield "gauss_mixture", fixed(lambda: mixture.GaussianMixture(2, **some), "iris")
    yield "bayes_mixture", fixed(lambda: mixture.BayesianGaussianMixture(n_components=2, covariance_type="diag", **some), "iris")
    yield "kmeans", fixed(lambda: cluster.KMeans(3, n_init=2, **some), "iris")
    yield "kmeans_batch", fixed(lambda: cluster.MiniBatchKMeans(3, n_init=2, **some), "iris")


def regressors(fixed, some):
    lm, e = linear_model, ensemble
    few = {"n_estimators": 5, "max_depth": 4, **some}
    models = {
        "linear": lm.LinearRegression, "ridge": lm.Ridge, "lasso": lm.Lasso, "elastic": lambda: lm.ElasticNet(0.1), "bayes_ridge": lm.BayesianRidge, "ard": lm.ARDRegression, "huber": lambda: lm.HuberRegressor(max_iter=500),
        "lars": lm.Lars, "lasso_lars": lm.LassoLars, "omp": lm.OrthogonalMatchingPursuit, "sgd": lambda: lm.SGDRegressor(**some), "poisson": lm.PoissonRegressor, "gamma": lm.GammaRegressor,
        "tweedie": lambda: lm.TweedieRegressor(power=1.5), "quantile_regression": lm.QuantileRegressor, "ransac": lambda: lm.RANSACRegressor(**some), "theil": lambda: lm.TheilSenRegressor(**some),
        "tree": lambda: tree.DecisionTreeRegressor(max_depth=4, **some), "extra_tree": lambda: tree.ExtraTreeRegressor(max_depth=4, **some), "forest": lambda: e.RandomForestRegressor(**few),
        "extra_trees": lambda: e.ExtraTreesRegressor(**few), "boosting": lambda: e.GradientBoostingRegressor(n_estimators=7, **some), "histogram": lambda: e.HistGradientBoostingRegressor(max_iter=7, max_depth=3, **some),
        "adaboost": lambda: e.AdaBoostRegressor(n_estimators=4, **some), "bagging": lambda: e.BaggingRegressor(tree.DecisionTreeRegressor(max_depth=3), n_estimators=3, **some),
        "voting": lambda: e.VotingRegressor([("a", lm.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]), "stacking": lambda: e.StackingRegressor([("a", lm.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]),
        "svr": lambda: svm.SVR(C=10), "svr_linear": lambda: svm.SVR(kernel="linear"), "svr_poly": lambda: svm.SVR(kernel="poly", degree=2, coef0=1), "svr_sigmoid": lambda: svm.SVR(kernel="sigmoid"), "nusvr": svm.NuSVR,
        "linear_svr": lambda: svm.LinearSVR(**some), "knn": lambda: neighbors.KNeighborsRegressor(3), "knn_weighted": lambda: neighbors.KNeighborsRegressor(3, weights="distance"),
        "knn_manhattan": lambda: neighbors.KNeighborsRegressor(3, metric="manhattan"), "radius": lambda: neighbors.RadiusNeighborsRegressor(0.3),
        "mlp": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(6,), max_iter=60, **some), "mlp_tanh": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(6, 4), activation="tanh", max_iter=60, **some),
        "mlp_logistic": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(5,), activation="logistic", max_iter=60, **some), "mlp_identity": lambda: neural_network.MLPRegressor(hidden_layer_sizes=(5,), activation="identity", max_iter=60, **some),
        "pls": lambda: cross_decomposition.PLSRegression(2),
        "scaled_forest": lambda: make_pipeline(preprocessing.StandardScaler(), e.RandomForestRegressor(**few)),
    }  # fmt: skip
    for name, make in models.items():
        yield f"{name}_regressor", fixed(make, "diabetes")
    for name in ("linear", "tree", "forest", "boosting", "mlp", "knn", "extra_trees", "ridge"):
        yield f"{name}_regressor_double", fixed(models[name], "diabetes", dtype=np.float64)
    for name in ("linear", "tree", "forest", "knn", "mlp"):
        yield f"{name}_two_targets", fixed(models[name], "both")
    yield "multi_output", fixed(lambda: multioutput.MultiOutputRegressor(lm.Ridge()), "both")
    yield "knn_cdist", fixed(models["knn"], "diabetes", {"options": {neighbors.KNeighborsRegressor: {"optim": "cdist"}}})


def classifiers(fixed, some):
    lm, e = linear_model, ensemble
    few = {"n_estimators": 5, "max_depth": 4, **some}
    models = {
        "logistic": lambda: lm.LogisticRegression(max_iter=300), "sgd_log": lambda: lm.SGDClassifier(loss="log_loss", **some), "sgd_huber": lambda: lm.SGDClassifier(loss="modified_huber", **some),
        "perceptron": lambda: lm.Perceptron(**some), "ridge": lm.RidgeClassifier, "passive": lambda: lm.PassiveAggressiveClassifier(**some),
        "tree": lambda: tree.DecisionTreeClassifier(max_depth=4, **some), "extra_tree": lambda: tree.ExtraTreeClassifier(max_depth=4, **some), "forest": lambda: e.RandomForestClassifier(**few),
        "extra_trees": lambda: e.ExtraTreesClassifier(**few), "boosting": lambda: e.GradientBoostingClassifier(n_estimators=6, **some),
        "histogram": lambda: e.HistGradientBoostingClassifier(max_iter=6, max_depth=3, **some), "adaboost": lambda: e.AdaBoostClassifier(n_estimators=4, **some),
        "bagging": lambda: e.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=3), n_estimators=3, **some),
        "voting_soft": lambda: e.VotingClassifier([("a", lm.LogisticRegression(max_iter=300)), ("b", tree.DecisionTreeClassifier(max_depth=3))], voting="soft", flatten_transform=False),
        "voting_hard": lambda: e.VotingClassifier([("a", lm.LogisticRegression(max_iter=300)), ("b", tree.DecisionTreeClassifier(max_depth=3))], flatten_transform=False),
        "stacking": lambda: e.StackingClassifier([("a", lm.LogisticRegression(max_iter=300)), ("b", tree.DecisionTreeClassifier(max_depth=3))]),
        "svc": lambda: svm.SVC(probability=True, **some), "svc_margins": lambda: svm.SVC(**some), "svc_linear": lambda: make_pipeline(preprocessing.StandardScaler(), svm.SVC(kernel="linear", probability=True, **some)),
        "svc_poly": lambda: svm.SVC(kernel="poly", degree=2, probability=True, **some), "nusvc": lambda: make_pipeline(preprocessing.StandardScaler(), svm.NuSVC(nu=0.2, probability=True, **some)), "linear_svc": lambda: svm.LinearSVC(**some),
        "gauss": naive_bayes.GaussianNB, "knn": lambda: neighbors.KNeighborsClassifier(3), "knn_weighted": lambda: neighbors.KNeighborsClassifier(3, weights="distance"),
        "mlp": lambda: neural_network.MLPClassifier((6,), max_iter=60, **some), "mlp_tanh": lambda: neural_network.MLPClassifier((5, 4), activation="tanh", max_iter=60, **some),
        "lda": discriminant_analysis.LinearDiscriminantAnalysis, "qda": discriminant_analysis.QuadraticDiscriminantAnalysis,
        "calibrated": lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2), "isotonic": lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2, method="isotonic"),
        "one_vs_rest": lambda: multiclass.OneVsRestClassifier(lm.LogisticRegression()), "one_vs_one": lambda: multiclass.OneVsOneClassifier(lm.LogisticRegression()),
        "gaussian_process": lambda: gaussian_process.GaussianProcessClassifier(**some),
    }  # fmt: skip
    for name, make in models.items():
        for of in ("iris", "cancer", "two_names", "named"):
            if of in ("iris", "cancer") or name in ("logistic", "tree", "forest", "boosting", "svc", "knn", "mlp", "gauss", "histogram", "one_vs_rest"):
                yield f"{name}_{of}", fixed(make, of)
    for name in ("logistic", "forest", "boosting", "tree", "svc"):
        yield f"{name}_odd", fixed(models[name], "odd")
        yield f"{name}_flat", fixed(models[name], "iris", {"options": {"zipmap": False}})
    for name in ("logistic", "tree", "forest", "gauss"):
        yield f"{name}_classifier_double", fixed(models[name], "iris", dtype=np.float64)
    for name, make in {"multinomial": naive_bayes.MultinomialNB, "bernoulli": lambda: naive_bayes.BernoulliNB(binarize=1.0), "complement": naive_bayes.ComplementNB}.items():
        yield f"{name}_bayes", fixed(make, "plus")
    yield "multi_output_classifier", fixed(lambda: multioutput.MultiOutputClassifier(lm.LogisticRegression(max_iter=300)), "several")
    yield "forest_several", fixed(models["forest"], "several", {"options": {"zipmap": False}})
    yield "scaled_logistic", fixed(lambda: make_pipeline(preprocessing.StandardScaler(), lm.LogisticRegression()), "two_names")
    yield "imputed_histogram", fixed(models["histogram"], "cancer", holes=True)
    yield "old_opset_logistic", fixed(models["logistic"], "iris", {"target_opset": 9})
    yield "old_opset_mlp", fixed(models["mlp"], "iris", {"target_opset": {"": 9, "ai.onnx.ml": 1}})
    yield "opset_11_forest", fixed(models["forest"], "named", {"target_opset": {"": 11, "ai.onnx.ml": 1}})


def boosters(fixed, some, flat):
    few = {"n_estimators": 6, "verbose": -1, "num_leaves": 7, **some}
    light = {
        "gbdt": {}, "dart": {"boosting_type": "dart"}, "goss": {"data_sample_strategy": "goss"}, "forest": {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    }  # fmt: skip
    for name, more in light.items():
        for of in ("iris", "cancer", "odd", "named"):
            if name == "gbdt" or of in ("iris", "cancer"):
                yield f"lightgbm_{name}_{of}", fixed(lambda more=more: lightgbm.LGBMClassifier(**few, **more), of, {"tool": "lightgbm"})
        yield f"lightgbm_{name}_regressor", fixed(lambda more=more: lightgbm.LGBMRegressor(**few, **more), "diabetes", {"tool": "lightgbm"})
    for goal in ("poisson", "tweedie", "quantile", "mae", "gamma"):
        yield f"lightgbm_{goal}", fixed(lambda goal=goal: lightgbm.LGBMRegressor(objective=goal, **few), "diabetes", {"tool": "lightgbm"})
    yield "lightgbm_holes", fixed(lambda: lightgbm.LGBMClassifier(**few), "cancer", {"tool": "lightgbm"}, holes=True)
    yield "lightgbm_flat", fixed(lambda: lightgbm.LGBMClassifier(**few), "iris", {"tool": "lightgbm", "zipmap": False})
    yield "lightgbm_old", fixed(lambda: lightgbm.LGBMClassifier(**few), "iris", {"tool": "lightgbm", "target_opset": 9})
    yield "lightgbm_pipeline", fixed(lambda: make_pipeline(preprocessing.StandardScaler(), lightgbm.LGBMClassifier(**few)), "iris", {"options": {"zipmap": False}})
    yield "lightgbm_pipeline_regressor", fixed(lambda: make_pipeline(preprocessing.StandardScaler(), lightgbm.LGBMRegressor(**few)), "diabetes")
    few = {"n_estimators": 6, "max_depth": 3, **some}
    for name, more in {"gbtree": {}, "forest": {"num_parallel_tree": 3, "subsample": 0.7}, "exact": {"tree_method": "exact"}}.items():
        for of in ("iris", "cancer"):
            yield f"xgboost_{name}_{of}", fixed(lambda more=more: xgboost.XGBClassifier(**few, **more), of, {"tool": "xgboost"})
        yield f"xgboost_{name}_regressor", fixed(lambda more=more: xgboost.XGBRegressor(**few, **more), "diabetes", {"tool": "xgboost"})
    for goal in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror", "reg:pseudohubererror"):
        yield f"xgboost_{goal[goal.index(':') + 1 :]}", fixed(lambda goal=goal: xgboost.XGBRegressor(objective=goal, **few), "diabetes", {"tool": "xgboost"})
    yield "xgboost_holes", fixed(lambda: xgboost.XGBClassifier(**few), "cancer", {"tool": "xgboost"}, holes=True)
    yield "xgboost_old", fixed(lambda: xgboost.XGBClassifier(**few), "cancer", {"tool": "xgboost", "target_opset": 9})
    yield "xgboost_pipeline", fixed(lambda: make_pipeline(preprocessing.StandardScaler(), xgboost.XGBClassifier(**few)), "iris", {"options": {"zipmap": False}})


def texts(rng):
    """Bags of words: one column of texts."""
    text = feature_extraction.text
    lines = np.array([" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(80)]).reshape(-1, 1)
    about = np.array([int("storm" in line or "wave" in line) for (line,) in lines])

    def make(build):
        def run():
            model = make_pipeline(ColumnTransformer([("t", build(), 0)]), linear_model.LogisticRegression()).fit(lines, about)
            return model, lines[:10], {}

        return run

    builds = {
        "count": text.CountVectorizer, "count_binary": lambda: text.CountVectorizer(binary=True), "tfidf": text.TfidfVectorizer, "tfidf_bigrams": lambda: text.TfidfVectorizer(ngram_range=(1, 2)),
        "tfidf_only_bigrams": lambda: text.TfidfVectorizer(ngram_range=(2, 2)), "tfidf_l1": lambda: text.TfidfVectorizer(norm="l1", use_idf=False), "tfidf_sublinear": lambda: text.TfidfVectorizer(sublinear_tf=True),
        "stopwords": lambda: text.CountVectorizer(stop_words=["the", "a", "of"]), "letters": lambda: text.CountVectorizer(analyzer="char", ngram_range=(1, 2), max_features=40),
        "pattern": lambda: text.CountVectorizer(token_pattern="[a-z]+"), "upper": lambda: text.CountVectorizer(lowercase=False), "transformer": lambda: make_pipeline(text.CountVectorizer(), text.TfidfTransformer()),
    }  # fmt: skip
    for name, build in builds.items():
        yield f"text_{name}", make(build)

    def dictionary():
        rows = [{w: float(rng.integers(1, 5)) for w in rng.choice(WORDS, 4)} for _ in range(30)]
        return feature_extraction.DictVectorizer(sparse=False).fit(rows), rows[0], {}

    yield "dictionary", dictionary

    def hashed():
        return feature_extraction.FeatureHasher(8, input_type="string").fit(lines), lines[:6], {}

    yield "hasher", hashed


def frames(rng, some):
    """Frames of texts and numbers, through a ColumnTransformer."""
    n = 120
    frame = pd.DataFrame(
        {"place": rng.choice(PLACES, n), "rank": rng.choice(["low", "mid", "high"], n), "age": rng.normal(40, 12, n).astype(np.float32), "height": rng.normal(1.7, 0.1, n).astype(np.float32), "count": rng.integers(0, 5, n)}
    )
    label = ((frame.age > 40) ^ (frame.place == "oslo")).astype(int)
    numbers = ["age", "height"]
    p = preprocessing
    encoders = {
        "onehot": lambda: p.OneHotEncoder(handle_unknown="ignore"), "onehot_drop": lambda: p.OneHotEncoder(drop="first"), "ordinal": p.OrdinalEncoder,
        "ordinal_unknown": lambda: p.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), "target": lambda: p.TargetEncoder(**some),
        "infrequent": lambda: p.OneHotEncoder(min_frequency=25, handle_unknown="infrequent_if_exist"),
    }  # fmt: skip
    heads = {
        "logistic": lambda: linear_model.LogisticRegression(max_iter=300), "forest": lambda: ensemble.RandomForestClassifier(5, max_depth=4, **some), "boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=5, **some),
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=5, num_leaves=7, verbose=-1), "mlp": lambda: neural_network.MLPClassifier((5,), max_iter=50, **some),
    }  # fmt: skip

    def make(encoder, head):
        def run():
            steps = ColumnTransformer([("t", encoder(), ["place", "rank"]), ("n", make_pipeline(impute.SimpleImputer(), p.StandardScaler()), numbers), ("c", "passthrough", ["count"])])
            model = make_pipeline(steps, head()).fit(frame, label)
            rows = frame[:12].copy()
            if "unknown" in str(encoder()) and "error" not in str(encoder()):
                rows.loc[0, "place"] = "nowhere"
            return model, rows, {"options": {"zipmap": False}} if isinstance(model[-1], lightgbm.LGBMClassifier) else {}

        return run

    for name, encoder in encoders.items():
        for other, head in heads.items():
            if other == "logistic" or name in ("onehot", "ordinal"):
                yield f"frame_{name}_{other}", make(encoder, head)

    def labels():
        return p.LabelEncoder().fit(frame.place), frame.place.to_numpy().astype(object)[:10], {}

    yield "label_encoder", labels

    def binary():
        return p.LabelBinarizer().fit(frame["count"]), frame["count"].to_numpy().astype(np.int64)[:10], {}

    yield "label_binarizer", binary

    def union():
        columns = frame[numbers].to_numpy()
        return FeatureUnion([("a", p.StandardScaler()), ("b", p.MinMaxScaler())]).fit(columns), columns[:10], {}

    yield "feature_union", union


def special(fixed, fit, some):
    gp = gaussian_process
    for name, kernel in {
        "rbf": gp.kernels.RBF(0.5), "dot": gp.kernels.DotProduct(), "sum": gp.kernels.RBF(1.0) + gp.kernels.WhiteKernel(0.1), "product": gp.kernels.ConstantKernel(2.0) * gp.kernels.RBF(0.7),
        "rational": gp.kernels.RationalQuadratic(), "sine": gp.kernels.ExpSineSquared(),
    }.items():  # fmt: skip
        yield f"gp_{name}", fixed(lambda kernel=kernel: gp.GaussianProcessRegressor(kernel, alpha=1.0, optimizer=None, normalize_y=True), "diabetes", dtype=np.float64)
    yield "isolation_forest", fixed(lambda: ensemble.IsolationForest(n_estimators=5, **some), "iris")
    yield "one_class", fixed(lambda: make_pipeline(preprocessing.StandardScaler(), svm.OneClassSVM(nu=0.1)), "iris")
    yield "local_outlier", fixed(lambda: neighbors.LocalOutlierFactor(novelty=True), "iris")
    yield "radius_classifier", fixed(lambda: neighbors.RadiusNeighborsClassifier(2.0), "iris")
    yield "knn_classifier_cdist", fixed(lambda: neighbors.KNeighborsClassifier(3), "iris", {"options": {neighbors.KNeighborsClassifier: {"optim": "cdist", "zipmap": False}}})
    yield "decision_path", fixed(lambda: tree.DecisionTreeClassifier(max_depth=3, **some), "iris", {"options": {tree.DecisionTreeClassifier: {"decision_path": True, "zipmap": False}}})
    yield "decision_leaf", fixed(lambda: ensemble.RandomForestClassifier(3, max_depth=3, **some), "iris", {"options": {ensemble.RandomForestClassifier: {"decision_leaf": True, "zipmap": False}}})
    yield "raw_scores", fixed(lambda: linear_model.LogisticRegression(), "iris", {"options": {linear_model.LogisticRegression: {"raw_scores": True, "zipmap": False}}})
    yield "columns_zipmap", fixed(lambda: linear_model.LogisticRegression(max_iter=300), "iris", {"options": {linear_model.LogisticRegression: {"zipmap": "columns"}}})
    yield "quadratic_pipeline", fixed(lambda: make_pipeline(preprocessing.PolynomialFeatures(2), preprocessing.StandardScaler(), linear_model.Ridge()), "diabetes")
