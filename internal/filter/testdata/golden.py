"""Make the golden tables of internal/filter from the real MLflow: what it parses, matches and says about filters and orders.

uv venv v && VIRTUAL_ENV=v uv pip install mlflow==3.17.2 && PYTHONHASHSEED=0 v/bin/python golden.py
"""

import itertools
import json
import math
import os
import random
import sys
import tempfile
import uuid

import mlflow
import sqlparse
from mlflow.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LoggedModelParameter,
    LoggedModelStatus,
    LoggedModelTag,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
from mlflow.utils.search_logged_model_utils import parse_filter_string
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchModelUtils, SearchModelVersionUtils, SearchUtils

rng = random.Random(7)
ids = (f"{i:08x}{rng.getrandbits(96):024x}" for i in itertools.count(1))
uuid.uuid4 = lambda: uuid.UUID(next(ids))

folder = tempfile.mkdtemp()
uri = f"sqlite:///{folder}/golden.db"
tracking = Tracking(uri, f"file://{folder}/artifacts")
registry = Registry(uri)


def num(v):
    return "NaN" if math.isnan(v) else v


# ---- rows: few, and as different as the clauses can tell -------------------------------------------------------------

EXPERIMENT = tracking.create_experiment("runs")
TEXTS = ["a", "A", "abc", "ABC", "a%c", "a_c", "a\\c", "it's", 'say "hi"', "ÄÖ", "äö", "", "x y", "true", "false", "0.1", "10", "9"]
runs = []
for i in range(18):
    r = tracking.create_run(EXPERIMENT, f"user{i % 3}", 1000 + 10 * (i % 7), [], ["alpha", "Alpha", "beta", "a%", "gamma_1", "run x"][i % 6])
    rid = r.info.run_id
    metrics = {"m": [0.5, -1.0, math.nan, 3.0, 1e300, 0.0][i % 6]} if i % 7 != 6 else {}
    metrics |= {"val/loss 1": i / 4.0} if i % 2 else {}
    params = {"p": TEXTS[i], "learning.rate": str(i % 4)} if i % 5 != 4 else {"q": "1"}
    tags = {"t": TEXTS[-1 - i]} if i % 4 != 3 else {"other key": "v"}
    tracking.log_batch(
        rid,
        [Metric(k, v, 1, 1) for k, v in metrics.items()],
        [Param(k, v) for k, v in params.items()],
        [RunTag(k, v) for k, v in tags.items()],
    )
    data = []
    for j in range(i % 3):
        name, digest, context = ["iris", "Wine"][j], f"d{i % 4}{j}", ["train", "eval"][(i + j) % 2]
        tracking.log_inputs(rid, [DatasetInput(Dataset(name, digest, "local", "s"), [InputTag("mlflow.data.context", context)])])
        data.append({"name": name, "digest": digest, "context": context})
    if i % 3 == 0:
        tracking.update_run_info(rid, 3 if i % 2 else 4, 5000 + i, None)
    info = tracking.get_run(rid).info
    attributes = {
        "run_id": rid,
        "run_name": info.run_name,
        "user_id": info.user_id,
        "status": info.status,
        "start_time": info.start_time,
        "end_time": info.end_time,
        "artifact_uri": info.artifact_uri.replace(folder, ""),
    }
    all_tags = dict(tracking.get_run(rid).data.tags)
    row = {"id": rid, "attributes": attributes, "metrics": {k: num(v) for k, v in metrics.items()}, "params": params, "tags": all_tags}
    runs.append(row | {"datasets": data})

experiments = []
for i, name in enumerate(["forecast", "Forecast", "fore_cast", "fore%", "x", "Ünïcode", "it's"]):
    e = tracking.create_experiment(name, tags=[ExperimentTag("team", ["a", "B", "b c"][i % 3])] if i % 3 != 2 else [])
    experiments.append(e)
with tracking.ManagedSessionMaker() as session:
    from mlflow.store.tracking.dbmodels.models import SqlExperiment

    for i, e in enumerate(session.query(SqlExperiment).order_by(SqlExperiment.experiment_id)):
        e.creation_time, e.last_update_time = 1000 + i % 4, 2000 - i % 3
experiments = [
    {
        "id": e.experiment_id,
        "attributes": {
            "name": e.name,
            "experiment_id": e.experiment_id,
            "creation_time": e.creation_time,
            "last_update_time": e.last_update_time,
        },
        "tags": dict(e.tags),
    }
    for e in tracking.search_experiments()
]

for i, name in enumerate(["churn", "Churn", "churn_2", "fraud", "a prompt", "it's"]):
    tags = [RegisteredModelTag("team", "ab"[i % 2])] if i < 4 else []
    if name == "a prompt":
        tags.append(RegisteredModelTag("mlflow.prompt.is_prompt", "true"))
    if name == "fraud":
        tags.append(RegisteredModelTag("mlflow.prompt.is_prompt", "false"))
    registry.create_registered_model(name, tags)
    for v in range(1 + i % 3 * 5):
        tags = [ModelVersionTag("stage", ["dev", "Prod"][v % 2])] if v % 3 else []
        if name == "a prompt":
            tags.append(ModelVersionTag("mlflow.prompt.is_prompt", "true"))
        registry.create_model_version(name, f"s3://b/{i}/{v}", runs[v % 4]["id"] if v % 5 else None, tags)
with registry.ManagedSessionMaker() as session:
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel

    for i, m in enumerate(session.query(SqlRegisteredModel).order_by(SqlRegisteredModel.name)):
        m.creation_time, m.last_updated_time = 1000 + i, 3000 - i % 3
    for i, m in enumerate(session.query(SqlModelVersion).order_by(SqlModelVersion.name, SqlModelVersion.version)):
        m.creation_time, m.last_updated_time = 1000 + i % 5, 3000 - i % 4
PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
models = [
    {"id": m.name, "attributes": {"name": m.name, "last_updated_timestamp": m.last_updated_timestamp}, "tags": dict(m._tags)}
    for m in list(registry.search_registered_models()) + list(registry.search_registered_models(PROMPT))
]
versions = [
    {
        "id": f"{m.name}/{m.version}",
        "attributes": {
            "name": m.name,
            "version_number": int(m.version),
            "run_id": m.run_id,
            "source_path": m.source,
            "creation_timestamp": m.creation_timestamp,
            "last_updated_timestamp": m.last_updated_timestamp,
        },
        "tags": dict(m.tags),
    }
    for m in list(registry.search_model_versions()) + list(registry.search_model_versions(PROMPT))
]

logged = []
for i in range(10):
    m = tracking.create_logged_model(
        EXPERIMENT,
        ["model", "Model", "other_1"][i % 3],
        runs[i % 3]["id"] if i % 4 else None,
        [LoggedModelTag("t", TEXTS[i])] if i % 2 else [],
        [LoggedModelParameter("p.q", TEXTS[i + 3])] if i % 3 else [],
        ["agent", None][i % 2],
    )
    tracking.finalize_logged_model(m.model_id, LoggedModelStatus.READY)
    if i % 4 != 1:
        tracking.log_batch(runs[0]["id"], [Metric("acc", i / 8, 1, i, model_id=m.model_id, run_id=runs[0]["id"])], [], [])
    logged.append(m.model_id)
with tracking.ManagedSessionMaker() as session:
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel

    for i, m in enumerate(session.query(SqlLoggedModel).order_by(SqlLoggedModel.model_id)):
        m.creation_timestamp_ms, m.last_updated_timestamp_ms = 1000 + i % 4, 2000 - i % 3
logged = [
    {
        "id": m.model_id,
        "attributes": {
            "name": m.name,
            "model_id": m.model_id,
            "model_type": m.model_type,
            "source_run_id": m.source_run_id,
            "experiment_id": m.experiment_id,
            "creation_timestamp": m.creation_timestamp,
            "last_updated_timestamp": m.last_updated_timestamp,
        },
        "metrics": {x.key: x.value for x in m.metrics or []},
        "params": m.params or {},
        "tags": m.tags or {},
    }
    for m in map(tracking.get_logged_model, logged)
]

# ---- filters ---------------------------------------------------------------------------------------------------------

OPS = ["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "like", "iLike", "NOT LIKE", "==", "<>", "~", "IN", "NOT IN", "RLIKE"]
VALUES = ["1", "-1", "0.5", ".5", "1.", "-2.5e3", "1e5", "1E-2", "1e+5", "0x1F", "1e999", "'abc'", '"abc"', "`abc`", "abc", "''", "'a%'"]
VALUES += ["'%C'", "'a_c'", "'A%c'", "'it''s'", "'it\\'s'", '"it\'s"', "'say \"hi\"'", "'a\\c'", "('a')", "('a', 'b')", "('a',)", "()", "(1)"]
VALUES += ["('a', 1)", "(a)", "('a' 'b')", "('a', ('b'))", "true", "NULL", "null", "-", "'äö'", "'Ä%'", "nan", "'nan'", "inf", "1_000", "- 1"]
SHAPES = [
    "", " ", "\n", "AND", "and AND", "{0}", "{0} AND", "AND {0}", "{0} AND {1}", "{0} and {1}", "{0} {1}", "{0}, {1}", "{0} OR {1}", "{0} or {1}",
    "({0})", "({0} AND {1})", "NOT {0}", "{0};", "{0}; {1}", ";", "{0} AND {1} AND {0}", "{0}\nAND\t{1}", "{0} && {1}", "{0} & {1}", "WHERE {0}",
    "where {0} AND {1}", "SELECT * FROM runs", "SELECT {0}", "{0} ORDER BY x", "{0} LIMIT 1", "{0} -- note", "-- note\n{0}", "{0} /* n */ AND {1}",
    "/* n */ {0}", "/* {0}", "{0} # note", "{0} AND NOT {1}", "{0} BETWEEN 1 AND 2", "{0} AND AND {1}", "{0} XOR {1}", "{0} x", "x {0}", "{0} AS y",
    "a b c d e", "=", "= 1", "> >", "'abc'", "1", "1 = 1", "'a' = 'a'", "{0} = 1", "f({0})", "f(x) = 1", "[{0}]", "{{{0}}}", "{0} 'x'", "'x' {0}",
    "{0} AND 'x'", "{0} AND 1", "{0} AND x.y", "{0} AND x.y.z", "{0} AND =", "{0} =", "\\x", "?", "{0} AND ?", "%s", "@x", "#x", "{0} COLLATE x",
    "{0}AND {1}", "{0} AND{1}", "'", '"', "`", "{0} AND '", "{0} AND `", "((((({0})))))", "(", ")", "{0})", "({0}", "{0} IS NULL", "x IS NULL",
    "drop table runs", "{0}; drop table runs", "{0} UNION SELECT 1", "1; {0}", "CASE WHEN {0} THEN 1 END", "{0} ESCAPE '\\'",
]  # fmt: skip


def fields(words, keys):
    return [f"{w}.{k}" if w else k for w in words for k in keys]


KEYS = ["p", "t", "m", "`p`", '"p"', "'p'", "learning.rate", "`learning.rate`", '"learning.rate"', "val/loss 1", "`val/loss 1`", '"other key"']
KEYS += ["a-b", "`a-b`", "a b", "1abc", "12abc", "é", "`日本`", "日本", "in", "`in`", "order", "select", "as", "from", "f(x)", "a[1]", "_x", "a$b"]
KEYS += ["``", "a.b.c", "a . b", "*", "a:b", "`a``b`", "desc", "null", "not", "like", "%s", "mlflow.runName", "`mlflow.runName`", "mlflow.user"]
NOUNS = {
    "runs": {
        "bare": ["run_id", "run_name", "status", "start_time", "end_time", "user_id", "artifact_uri", "created", "Created", "CREATED", "run name"]
        + ["`run name`", '"run name"', "`Run Name`", "`Run name`", "`RUN NAME`", "foo", "experiment_id", "lifecycle_stage", "name", "select", "date"],
        "words": ["metric", "metrics", "param", "params", "parameter", "parameters", "tag", "tags", "attr", "attribute", "attributes", "run"]
        + ["dataset", "datasets", "foo", "METRICS", "`metrics`", "attrs"],
        "keys": ["m", "name", "digest", "context", "start_time", "status", "run_id"],
        "clauses": ["metrics.m > 0.1", "params.p = 'abc'", "tags.t != 'a'", "status = 'RUNNING'", "start_time >= 1030", "datasets.name = 'iris'"]
        + ["run_id IN ('x', 'y')", "tags.t IS NULL", "params.p IS NOT NULL", f"run_id NOT IN ('{runs[0]['id']}')", "run_name LIKE 'a%'"],
    },
    "experiments": {
        "bare": ["name", "experiment_id", "creation_time", "last_update_time", "foo", "`name`", '"name"', "Name"],
        "words": ["attribute", "tag", "tags", "attributes", "attr", "params", "`tags`"],
        "keys": ["name", "team", "experiment_id", "creation_time"],
        "clauses": ["name = 'x'", "name ILIKE 'fore%'", "creation_time > 1001", "tags.team = 'a'", "experiment_id IN ('1', '2')", "tags.team IS NULL"]
        + ["tags.team IS NOT NULL", "creation_time = '1001'", "experiment_id != '3'", "last_update_time <= 1999.0"],
    },
    "registered_models": {
        "bare": ["name", "creation_timestamp", "last_updated_timestamp", "description", "`name`", '"name"'],
        "words": ["attribute", "tag", "tags", "attributes", "params"],
        "keys": ["name", "team", "`mlflow.prompt.is_prompt`", "mlflow.prompt.is_prompt"],
        "clauses": ["name = 'churn'", "name ILIKE 'churn%'", "tags.team = 'a'", "tags.team != 'a'", "name IN ('churn', 'fraud')"]
        + ["tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'", "name NOT IN ('churn')"],
    },
    "model_versions": {
        "bare": ["name", "version_number", "run_id", "source_path", "version", "current_stage", "creation_timestamp", "`name`", '"run_id"'],
        "words": ["attribute", "tag", "tags", "attributes", "params"],
        "keys": ["name", "stage", "version_number", "`mlflow.prompt.is_prompt`"],
        "clauses": [
            "name = 'churn_2'",
            "version_number > 2",
            "tags.stage = 'dev'",
            "run_id IN ('" + runs[1]["id"] + "')",
            "source_path LIKE 's3://b/1%'",
        ]
        + ["tags.`mlflow.prompt.is_prompt` = 'true'", "version_number = '3'", "version_number <= 2.0", "name NOT IN ('Churn')"],
    },
    "logged_models": {
        "bare": ["name", "model_id", "model_type", "status", "source_run_id", "creation_timestamp", "creation_time", "creation_timestamp_ms"]
        + ["last_updated_timestamp", "last_updated_timestamp_ms", "foo", "`name`", "experiment_id"],
        "words": ["attributes", "metrics", "params", "tags", "attribute", "metric", "Tags"],
        "keys": ["name", "acc", "t", "p.q", "`p.q`", "creation_timestamp_ms"],
        "clauses": [
            "name = 'model'",
            "metrics.acc > 0.3",
            "params.`p.q` = 'ABC'",
            "tags.t LIKE 'a%'",
            "model_type = 'agent'",
            "creation_time >= 1002",
        ]
        + ["name IN ('model', 'Model')", "source_run_id = '" + runs[1]["id"] + "'", "tags.t ilike 'A%'", "name NOT IN ('model')"],
    },
}


def filters(noun):
    n = NOUNS[noun]
    a, b = n["clauses"][0], n["clauses"][1]
    out = [s.format(a, b) for s in SHAPES] + n["clauses"]
    out += [" AND ".join(pair) for pair in itertools.combinations(n["clauses"], 2)]
    lefts = n["bare"] + fields(n["words"], n["keys"])
    for i, left in enumerate(lefts):
        out += [f"{left} = 'abc'", f"{left} > 1", f"{left} {OPS[i % len(OPS)]} {VALUES[(i * 7) % len(VALUES)]}", f"{left} IS NULL"]
    prefixes = {"runs": ["params", "tags", "metrics"], "logged_models": ["params", "metrics"]}.get(noun, ["tags"])
    for prefix in prefixes:
        for k in KEYS:
            out += [f"{prefix}.{k} = 'abc'", f"{prefix}.{k} < 3"] if prefix == "metrics" else [f"{prefix}.{k} LIKE 'a%'"]
    some = {"runs": ["metrics.m", "params.p", "tags.t", "status", "start_time", "run_id", "run_name", "dataset.name", "dataset.context"]}
    some |= {"experiments": ["name", "experiment_id", "creation_time", "tags.team"], "registered_models": ["name", "tags.team"]}
    some |= {"model_versions": ["name", "version_number", "run_id", "tags.stage"]}
    some |= {"logged_models": ["name", "creation_time", "metrics.acc", "params.`p.q`", "tags.t"]}
    for left in some[noun]:
        out += [f"{left} {op} {v}" for op in OPS for v in ("1", "'abc'", "('abc', 'x')")]
        out += (
            [f"{left} = {v}" for v in VALUES] + [f"{left} IN {v}" for v in VALUES if v.startswith("(")] + [f"{left} LIKE {v}" for v in VALUES[11:24]]
        )
        out += [
            f"{left} IS NULL",
            f"{left} IS NOT NULL",
            f"{left} is  not\nnull AND {a}",
            f"{left}='abc'",
            f"{left}IN('abc')",
            f"{left} NOT  IN ('a')",
        ]
        out += [f"{left} IN ('abc') AND {a}", f"{a} AND {left} NOT IN ('abc')", f"{left} = 'abc' AND {a} AND {b}"]
    return list(dict.fromkeys(out))


def orders(noun):
    n = NOUNS[noun]
    fields_ = (
        n["bare"] + fields(n["words"][:9], n["keys"][:4]) + ["timestamp", "metrics.`val/loss 1`", 'metrics."val/loss 1"', "params.`learning.rate`"]
    )
    fields_ += [
        "tags.`other key`",
        "metrics.m x",
        "1",
        "'x'",
        "",
        " ",
        "a b c",
        "metrics.m; DROP",
        "order",
        "f(x)",
        "`a",
        "metrics.m, params.p",
        "(name)",
    ]
    out = [[f] for f in fields_]
    out += [[f"{f} {d}"] for f in fields_ for d in ("ASC", "desc", "DESCENDING", "DESC NULLS LAST")]
    plain = n["bare"][:4]
    out += [[f"{x} DESC", y] for x in plain for y in plain]
    if noun == "runs":
        out += [["metrics.m DESC", "params.p"], ["params.p ASC", "metrics.m"], ["tags.t DESC", "start_time ASC"], ["Created", "start_time DESC"]]
    return out


def plain(value):
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return list(value) if isinstance(value, tuple) else value


def answer(call):
    """What MLflow says: the result, its error, or that it crashed, which its server answers with a 500."""
    try:
        return {"ok": call()}
    except MlflowException as e:
        if e.error_code != "INVALID_PARAMETER_VALUE" and "contains duplicate" not in e.message:
            return {"crash": e.error_code}
        return {"error": e.message.replace(folder, "")}
    except Exception as e:
        return {"crash": type(e).__name__}


def legacy(parse):
    return lambda f: [{"type": c["type"], "key": c["key"], "op": c["comparator"], "value": plain(c["value"])} for c in parse(f)]


def logged_clauses(f):
    return [{"type": c.entity.type.value, "key": c.entity.key, "op": c.op, "value": plain(c.value)} for c in parse_filter_string(f)]


def search_runs(f, order=None):
    return [r.info.run_id for r in tracking.search_runs([EXPERIMENT], f, ViewType.ACTIVE_ONLY, 1000, order)]


def search_logged(f, order=None):
    return [m.model_id for m in tracking.search_logged_models([EXPERIMENT], f, None, 1000, order)]


SEARCH = {
    "runs": (runs, legacy(SearchUtils.parse_search_filter), search_runs),
    "experiments": (
        experiments,
        legacy(SearchExperimentsUtils.parse_search_filter),
        lambda f, order=None: [e.experiment_id for e in tracking.search_experiments(filter_string=f, order_by=order, max_results=1000)],
    ),
    "registered_models": (
        models,
        legacy(SearchModelUtils.parse_search_filter),
        lambda f, order=None: [m.name for m in registry.search_registered_models(f, 1000, order)],
    ),
    "model_versions": (
        versions,
        legacy(SearchModelVersionUtils.parse_search_filter),
        lambda f, order=None: [f"{m.name}/{m.version}" for m in registry.search_model_versions(f, 1000, order)],
    ),
    "logged_models": (logged, logged_clauses, search_logged),
}

here = os.path.dirname(os.path.abspath(__file__))
for noun, (rows, parse, search) in SEARCH.items():
    table = {
        "made_by": f"golden.py, mlflow {mlflow.__version__}, sqlparse {sqlparse.__version__}, Python {sys.version.split()[0]}, SQLite",
        "rows": rows,
        "filters": [],
        "orders": [],
    }
    position = {row["id"]: i for i, row in enumerate(rows)}
    for f in filters(noun):
        found = answer(lambda f=f, search=search, position=position: sorted(position[i] for i in search(f)))
        if "ok" in found:
            found = {"clauses": parse(f), "found": found["ok"]}
        table["filters"].append({"filter": f} | found)
    if noun == "logged_models":
        asked = [
            [{"field_name": f}] for f in NOUNS[noun]["bare"] + ["metrics.acc", "metrics.none", "params.p", "tags.t", "metric.x", "attributes.name"]
        ]
        asked += [[{"field_name": f[0]["field_name"], "ascending": a}] for f in asked for a in (True, False)]
        asked += [[{"field_name": "metrics.acc", "dataset_name": "d", "ascending": False}], [{"field_name": "name"}, {"field_name": "creation_time"}]]
    else:
        asked = orders(noun)
    for o in [None] + asked:
        found = answer(lambda o=o, search=search, position=position: [position[i] for i in search("", o)])
        table["orders"].append({"order_by": o} | ({"found": found["ok"]} if "ok" in found else found))
    with open(f"{here}/{noun}.json", "w") as out:
        head = {k: table[k] for k in ("made_by",)}
        out.write(json.dumps(head)[:-1])
        for part in ("rows", "filters", "orders"):
            out.write(f',\n"{part}": [\n')
            out.write(",\n".join(json.dumps(x, ensure_ascii=False) for x in table[part]))
            out.write("\n]")
        out.write("}\n")
    print(noun, len(table["filters"]), "filters", len(table["orders"]), "orders")
