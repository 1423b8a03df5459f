"""tritonclient over HTTP, as its examples use it (triton-inference-server/client, src/python/examples)."""

import os

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

address = os.environ["TRIMTAB_SERVER"].removeprefix("http://")
a = np.arange(16, dtype=np.int32).reshape(1, 16)
b = np.ones((1, 16), dtype=np.int32)


def client(**options):
    return triton.InferenceServerClient(url=address, **options)


def inputs(binary=True, first=a, second=b, datatype="INT32"):
    out = []
    for name, data in (("INPUT0", first), ("INPUT1", second)):
        t = triton.InferInput(name, list(data.shape), datatype)
        t.set_data_from_numpy(data, binary_data=binary)
        out.append(t)
    return out


def check(result):
    assert (result.as_numpy("OUTPUT0") == a + b).all()
    assert (result.as_numpy("OUTPUT1") == a - b).all()


def refused(call, *words):
    try:
        call()
    except InferenceServerException as e:
        for word in words:
            assert word in str(e), f"{e} lacks {word!r}"
        assert str(e.status()).startswith("4"), e.status()
        return
    raise AssertionError("it was not refused")


def flow_load():
    with client() as c:
        for name in ("simple", "simple_string", "echo", "half"):
            assert not c.is_model_ready(name)
            c.load_model(name)
            assert c.is_model_ready(name)


def flow_health_and_metadata():
    with client() as c:
        assert c.is_server_live() and c.is_server_ready()
        server = c.get_server_metadata()
        assert server["name"] == "trimtab" and "binary_tensor_data" in server["extensions"]
        m = c.get_model_metadata("simple")
        assert m["name"] == "simple" and len(m["inputs"]) == 2 and len(m["outputs"]) == 2
        assert m["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}, m
        config = c.get_model_config("simple")
        assert config["input"][0]["dims"] == [16] and config["max_batch_size"] > 0, config
        refused(lambda: c.get_model_metadata("wrong_model_name"), "wrong_model_name")


def flow_binary_and_json():
    with client() as c:
        for binary in (True, False):
            wanted = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("OUTPUT0", "OUTPUT1")]
            result = c.infer("simple", inputs(binary), outputs=wanted, request_id="7")
            check(result)
            assert result.get_response()["id"] == "7"
        mixed = inputs()
        mixed[1].set_data_from_numpy(b, binary_data=False)
        check(
            c.infer(
                "simple",
                mixed,
                outputs=[triton.InferRequestedOutput("OUTPUT0", binary_data=True), triton.InferRequestedOutput("OUTPUT1", binary_data=False)],
            )
        )
        result = c.infer("simple", inputs())  # no output named: all, as bytes
        check(result)
        result = c.infer("simple", inputs(), outputs=[triton.InferRequestedOutput("OUTPUT1")], model_version="1")
        assert result.as_numpy("OUTPUT0") is None and (result.as_numpy("OUTPUT1") == a - b).all()


def flow_many_rows():
    first = np.arange(16000, dtype=np.int32).reshape(1000, 16)
    with client() as c:
        result = c.infer("simple", inputs(True, first, first))
        assert (result.as_numpy("OUTPUT0") == 2 * first).all() and not result.as_numpy("OUTPUT1").any()


def flow_compression():
    first = np.zeros((64, 16), dtype=np.int32)
    with client() as c:
        for request in ("gzip", "deflate", None):
            for answer in ("gzip", "deflate", None):
                for binary in (True, False):
                    wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
                    result = c.infer(
                        "simple",
                        inputs(binary, first, first),
                        outputs=wanted,
                        request_compression_algorithm=request,
                        response_compression_algorithm=answer,
                    )
                    assert result.as_numpy("OUTPUT0").shape == (64, 16)


def flow_strings():
    texts = np.array([str(x).encode() for x in a.reshape(-1)], dtype=np.object_).reshape(1, 16)
    ones = np.array([b"1"] * 16, dtype=np.object_).reshape(1, 16)
    with client() as c:
        for binary in (True, False):
            wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            result = c.infer("simple_string", inputs(binary, texts, ones, "BYTES"), outputs=wanted)
            assert [int(x) for x in result.as_numpy("OUTPUT0").reshape(-1)] == list(range(1, 17)), result.as_numpy("OUTPUT0")
        words = np.array(["é\n", "", '"'] + ["x"] * 13, dtype=np.object_).reshape(1, 16)
        t = triton.InferInput("INPUT0", [1, 16], "BYTES")
        t.set_data_from_numpy(words)
        result = c.infer("echo", [t])
        assert [x.decode() for x in result.as_numpy("OUTPUT0").reshape(-1)] == list(words.reshape(-1))


def flow_half_precision():
    data = np.array([[0.5, -2, 65504, 1e-7]], dtype=np.float16)
    t = triton.InferInput("INPUT0", [1, 4], "FP16")
    t.set_data_from_numpy(data)
    with client() as c:
        got = c.infer("half", [t]).as_numpy("OUTPUT0")
    assert got.dtype == np.float16 and np.array_equal(got, data + data), got


def flow_async():
    with client(concurrency=4) as c:
        requests = [c.async_infer("simple", inputs()) for _ in range(16)]
        for r in requests:
            check(r.get_result())


def flow_timeout_and_priority():
    with client() as c:
        check(
            c.infer(
                "simple", inputs(), priority=1, timeout=10_000_000, sequence_id=3, sequence_start=True, parameters={"note": "x", "n": 1, "f": True}
            )
        )


def penguin():
    out = []
    for name, value, datatype in (
        ("island", b"Biscoe", "BYTES"),
        ("bill_length_mm", 46.1, "FP64"),
        ("bill_depth_mm", 13.2, "FP64"),
        ("flipper_length_mm", 211, "FP64"),
        ("body_mass_g", 4500, "FP64"),
        ("sex", b"female", "BYTES"),
    ):
        dtype = np.object_ if datatype == "BYTES" else np.float64
        t = triton.InferInput(name, [1], datatype)
        t.set_data_from_numpy(np.array([value], dtype=dtype))
        out.append(t)
    return out


def flow_trained_model():
    with client() as c:
        m = c.get_model_metadata("penguins")
        assert m["platform"] == "trimtab" and {"probabilities", "label"} <= {o["name"] for o in m["outputs"]}, m
        result = c.infer("penguins", penguin())
        assert result.as_numpy("label")[0] == b"Gentoo" and abs(result.as_numpy("probabilities").sum() - 1) < 1e-9
        assert result.as_numpy("probabilities").shape == (1, 3) and result.as_numpy("version")[0] == 1
        top = c.infer("penguins", penguin(), outputs=[triton.InferRequestedOutput("probabilities", class_count=1)])
        assert top.as_numpy("probabilities")[0, 0].endswith(b":Gentoo"), top.as_numpy("probabilities")
        wrong = triton.InferInput("bill_length_mm", [1], "BYTES")
        wrong.set_data_from_numpy(np.array([b"long"], dtype=np.object_))
        refused(lambda: c.infer("penguins", [wrong]), "row 0", "bill_length_mm", "long", "a number")


def flow_refusals():
    with client() as c:
        refused(lambda: c.infer("nobody", inputs()), "nobody")
        refused(lambda: c.infer("simple", inputs(), model_version="9"), "no version 9")
        refused(lambda: c.infer("simple", inputs()[:1]), "INPUT1", "missing")
        refused(lambda: c.infer("simple", inputs(), outputs=[triton.InferRequestedOutput("OUTPUT9")]), "OUTPUT9")
        wide = np.zeros((1, 8), dtype=np.int32)
        refused(lambda: c.infer("simple", inputs(True, wide, wide)), "INPUT0", "[1, 8]", "[-1, 16]")
        t = triton.InferInput("INPUT0", [1, 16], "INT32")
        t.set_shared_memory("region", 64)
        refused(lambda: c.infer("simple", [t]), "shared memory")
        refused(lambda: c.register_system_shared_memory("r", "/r", 64), "shared memory")
        assert c.get_system_shared_memory_status() == []
        refused(lambda: c.update_log_settings({"log_info": False}), "settings")
        assert c.get_log_settings()["log_info"] is True
        assert c.get_trace_settings()["trace_level"] == ["OFF"]


def flow_statistics():
    with client() as c:
        before = c.get_inference_statistics("simple")["model_stats"][0]
        c.infer("simple", inputs(True, np.zeros((3, 16), np.int32), np.zeros((3, 16), np.int32)))
        after = c.get_inference_statistics("simple", "1")["model_stats"][0]
        assert after["name"] == "simple" and after["version"] == "1"
        assert after["inference_count"] == before["inference_count"] + 3, (before, after)
        assert after["inference_stats"]["success"]["count"] == before["inference_stats"]["success"]["count"] + 1
        assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
        assert {"simple", "penguins"} <= {m["name"] for m in c.get_inference_statistics()["model_stats"]}


def flow_model_control():
    with client() as c:
        states = {m["name"]: m["state"] for m in c.get_model_repository_index()}
        assert states["simple"] == "READY" and states["penguins"] == "READY", states
        c.unload_model("echo")
        assert not c.is_model_ready("echo")
        states = {m["name"]: m["state"] for m in c.get_model_repository_index()}
        assert states["echo"] == "UNAVAILABLE", states
        t = triton.InferInput("INPUT0", [1, 16], "BYTES")
        t.set_data_from_numpy(np.array([b""] * 16, dtype=np.object_).reshape(1, 16))
        try:
            c.infer("echo", [t])
            raise AssertionError("an unloaded model answered")
        except InferenceServerException:
            pass
        c.load_model("echo")
        assert c.is_model_ready("echo")
        c.infer("echo", [t])
        refused(lambda: c.load_model("wrong_model_name"), "failed to load")


def flow_base_path():
    with triton.InferenceServerClient(url=address + "/d/simple/oip") as c:
        assert c.is_model_ready("simple")
        check(c.infer("simple", inputs()))
        check(c.infer("whatever_it_was_called", inputs()))  # the deployment of the path answers
