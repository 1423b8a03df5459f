"""ONNX graphs by hand, for make.py: what no converter writes."""

import onnx


def branch_modes(double, version):
    """Trees by hand: every way to compare, one leaf of several outputs, and a tree that is one leaf."""
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    thresholds = [0.1, 0.25, -0.5, 0.75, 3, 4]
    columns = [0, 1, 2, 4, 3, 3]
    trees, ids, ways, features, values, yes, no, missing = ([] for _ in range(8))
    weights = []
    for t in range(6):
        k = t
        for i, (way, threshold, column) in enumerate(
            [
                (modes[k], thresholds[k], columns[k]),
                (modes[(k + 1) % 6], thresholds[(k + 1) % 6], columns[(k + 1) % 6]),
                ("LEAF", 0, 0),
                ("LEAF", 0, 0),
                ("LEAF", 0, 0),
            ]
        ):
            trees.append(t)
            ids.append(i)
            ways.append(way)
            features.append(column)
            values.append(threshold)
            yes.append([1, 3, 0, 0, 0][i])
            no.append([2, 4, 0, 0, 0][i])
            missing.append((t + i) % 2 if way != "LEAF" else 0)
            if way == "LEAF":
                weights += [(t, i, 0, 0.5 * t - i), (t, i, 1, i / (1 + t))]
    trees.append(6)
    for to, v in ((ids, 0), (ways, "LEAF"), (features, 0), (values, 0), (yes, 0), (no, 0), (missing, 0)):
        to.append(v)
    weights += [(6, 0, 0, 2.5), (6, 0, 1, -1.5)]
    kind = onnx.TensorProto.DOUBLE if double else onnx.TensorProto.FLOAT
    lists = {
        "nodes_treeids": trees,
        "nodes_nodeids": ids,
        "nodes_modes": ways,
        "nodes_featureids": features,
        "nodes_truenodeids": yes,
        "nodes_falsenodeids": no,
        "nodes_missing_value_tracks_true": missing,
        "target_treeids": [w[0] for w in weights],
        "target_nodeids": [w[1] for w in weights],
        "target_ids": [w[2] for w in weights],
    }
    if double:
        lists |= {
            "nodes_values_as_tensor": onnx.helper.make_tensor("v", kind, [len(values)], values),
            "target_weights_as_tensor": onnx.helper.make_tensor("w", kind, [len(weights)], [w[3] for w in weights]),
        }
    else:
        lists |= {"nodes_values": [float(v) for v in values], "target_weights": [float(w[3]) for w in weights], "base_values": [0.25, -0.25]}
    node = onnx.helper.make_node(
        "TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=2, aggregate_function="AVERAGE" if double else "SUM", **lists
    )
    return wrap(node, kind, onnx.TensorProto.FLOAT, version)


def wrap(node, kind, out, version, outputs=2):
    graph = onnx.helper.make_graph(
        [node], "g", [onnx.helper.make_tensor_value_info("X", kind, [None, 5])], [onnx.helper.make_tensor_value_info("Y", out, [None, outputs])]
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", version)], ir_version=9
    )


def tree_ensemble(kind):
    """TreeEnsemble of ai.onnx.ml 5, with a set of categories."""
    t = onnx.helper.make_tensor
    node = onnx.helper.make_node(
        "TreeEnsemble",
        ["X"],
        ["Y"],
        domain="ai.onnx.ml",
        n_targets=2,
        aggregate_function=1,
        post_transform=0,
        tree_roots=[0, 3],
        nodes_featureids=[0, 3, 4, 3, 1],
        nodes_truenodeids=[1, 0, 2, 4, 5],
        nodes_falsenodeids=[2, 1, 3, 4, 6],
        nodes_trueleafs=[0, 1, 1, 0, 1],
        nodes_falseleafs=[0, 1, 1, 1, 1],
        nodes_missing_value_tracks_true=[1, 0, 1, 1, 0],
        nodes_modes=t("m", onnx.TensorProto.UINT8, [5], [0, 6, 1, 6, 3]),
        nodes_splits=t("s", kind, [5], [0.1, 0, 1.5, 0, 0.3]),
        membership_values=t("v", kind, [8], [1, 5, 7, float("nan"), 0, 2, 4, float("nan")]),
        leaf_targetids=[0, 1, 0, 1, 0, 1, 0],
        leaf_weights=t("w", kind, [7], [0.5, -1, 2, 3.25, -4, 5, 0.125]),
    )
    return wrap(node, kind, kind, 5)
