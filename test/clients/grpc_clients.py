"""Clients of gRPC, unmodified, against the models of api/inference/inferencetest. Arguments: what to run, host:port.

simple answers OUTPUT0 = INPUT0 + INPUT1 and OUTPUT1 = INPUT0 - INPUT1; iris has x and y and answers 0, 1 and 2 with x/10, x/20 and x/30;
binary says true where temp / 10 >= 0.5. The stubs of two clients do not live in one process, so each set has its own.
"""

import asyncio
import json
import queue
import sys
import traceback

import numpy as np

what, address = sys.argv[1], sys.argv[2]
a = np.arange(16, dtype=np.int32).reshape(1, 16)
b = np.ones((1, 16), dtype=np.int32)


def triton():
    import tritonclient.grpc as client
    import tritonclient.grpc.aio as aio
    from tritonclient.utils import InferenceServerException

    def simple():
        inputs = [client.InferInput("INPUT0", [1, 16], "INT32"), client.InferInput("INPUT1", [1, 16], "INT32")]
        inputs[0].set_data_from_numpy(a)
        inputs[1].set_data_from_numpy(b)
        return inputs

    def check(answer):
        assert np.array_equal(answer.as_numpy("OUTPUT0"), a + b), answer.as_numpy("OUTPUT0")
        assert np.array_equal(answer.as_numpy("OUTPUT1"), a - b), answer.as_numpy("OUTPUT1")

    c = client.InferenceServerClient(address)

    def health():
        assert c.is_server_live() and c.is_server_ready()
        assert c.is_model_ready("simple") and not c.is_model_ready("nobody")

    def metadata():
        assert c.get_server_metadata().name == "trimtab"
        m = c.get_model_metadata("simple")
        assert [i.name for i in m.inputs] == ["INPUT0", "INPUT1"] and m.inputs[0].datatype == "INT32" and list(m.inputs[0].shape) == [-1, 16], m
        config = c.get_model_config("simple", as_json=True)["config"]
        assert config["name"] == "simple" and config["input"][0]["data_type"] == "TYPE_INT32" and config["input"][0]["dims"] == ["16"], config

    def repository():
        names = [m.name for m in c.get_model_repository_index().models]
        assert "simple" in names and "iris" in names, names
        stats = c.get_inference_statistics("simple").model_stats
        assert stats and stats[0].name == "simple"
        try:
            c.load_model("nothing_there")
        except InferenceServerException as e:
            assert "failed to load" in e.message(), e
        else:
            raise AssertionError("a model that is not there was loaded")

    def load_and_unload():
        c.unload_model("mean")
        assert not c.is_model_ready("mean")
        c.load_model("mean")
        assert c.is_model_ready("mean")

    def infer():
        answer = c.infer("simple", simple(), request_id="7")
        check(answer)
        assert answer.get_response().id == "7"
        only = c.infer("simple", simple(), outputs=[client.InferRequestedOutput("OUTPUT1")])
        assert only.as_numpy("OUTPUT0") is None and np.array_equal(only.as_numpy("OUTPUT1"), a - b)

    def rows():
        x, y = client.InferInput("x", [3], "FP32"), client.InferInput("y", [3], "FP32")
        x.set_data_from_numpy(np.array([1, 2, 3], dtype=np.float32))
        y.set_data_from_numpy(np.zeros(3, dtype=np.float32))
        answer = c.infer("iris", [x, y])
        got = answer.as_numpy("probabilities")
        assert got.shape == (3, 3) and np.allclose(got[:, 0], [0.1, 0.2, 0.3], atol=1e-6), got
        assert list(answer.as_numpy("label")) == [b"0", b"0", b"0"], answer.as_numpy("label")
        assert answer.as_numpy("version").tolist() == [1, 1, 1]
        both = client.InferInput("anything", [1, 2], "FP64")
        both.set_data_from_numpy(np.array([[4.0, 0.0]]))
        assert np.allclose(c.infer("iris", [both]).as_numpy("probabilities")[0, 0], 0.4)

    def texts():
        temp, dest = client.InferInput("temp", [2, 1], "FP64"), client.InferInput("dest", [2, 1], "BYTES")
        temp.set_data_from_numpy(np.array([[7.5], [2.5]]))
        dest.set_data_from_numpy(np.array([["LAX"], ["BOS"]], dtype=object))
        answer = c.infer("binary", [temp, dest])
        assert [t.decode() for t in answer.as_numpy("label")] == ["true", "false"], answer.as_numpy("label")

    def compressed():
        check(c.infer("simple", simple(), compression_algorithm="gzip"))

    def mistakes():
        short = client.InferInput("INPUT0", [1, 16], "INT32")
        short.set_data_from_numpy(a)
        for name, inputs, status in (("simple", [short], "INVALID_ARGUMENT"), ("nobody", simple(), "NOT_FOUND")):
            try:
                c.infer(name, inputs)
            except InferenceServerException as e:
                assert status in e.status(), e
            else:
                raise AssertionError(name)

    def asynchronous():
        got = queue.Queue()
        for _ in range(20):
            c.async_infer("simple", simple(), lambda result, error: got.put((result, error)))
        for _ in range(20):
            result, error = got.get(timeout=20)
            assert error is None, error
            check(result)

    def stream():
        got = queue.Queue()
        with client.InferenceServerClient(address) as s:
            s.start_stream(lambda result, error: got.put((result, error)))
            for i in range(5):
                s.async_stream_infer("simple", simple(), request_id=str(i), enable_empty_final_response=True)
            s.async_stream_infer("nobody", simple())
            s.async_stream_infer("simple", simple())
            for i in range(5):
                result, error = got.get(timeout=20)
                assert error is None, error
                check(result)
                assert result.get_response().id == str(i) and result.get_response().parameters["triton_final_response"].bool_param
            _, error = got.get(timeout=20)
            assert "nobody" in str(error), error
            result, error = got.get(timeout=20)
            check(result)
            s.stop_stream()

    def other_loop():
        async def run():
            async with aio.InferenceServerClient(address) as s:
                assert await s.is_server_live()
                for answer in await asyncio.gather(*[s.infer("simple", simple()) for _ in range(20)]):
                    check(answer)

        asyncio.run(run())

    def shared_memory():
        assert not c.get_system_shared_memory_status().regions
        try:
            c.register_system_shared_memory("x", "/x", 64)
        except InferenceServerException as e:
            assert "shared memory is not served" in e.message()
        else:
            raise AssertionError("registered")

    return [health, metadata, repository, load_and_unload, infer, rows, texts, compressed, mistakes, asynchronous, stream, other_loop, shared_memory]


def kserve():
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def run(raw):
        c = InferenceGRPCClient(address)
        try:
            assert await c.is_server_ready() and await c.is_server_live() and await c.is_model_ready("iris")
            x = InferInput("x", [2], "FP64")
            x.set_data_from_numpy(np.array([1.0, 2.0]), binary_data=raw)
            y = InferInput("y", [2], "FP64")
            y.set_data_from_numpy(np.array([0.0, 0.0]), binary_data=raw)
            answer = await c.infer(InferRequest(model_name="iris", request_id="42", infer_inputs=[x, y]))
            assert answer.id == "42" and answer.model_name == "iris", answer
            got = {o.name: o for o in answer.outputs}["probabilities"].as_numpy()
            assert np.allclose(got[:, 0], [0.1, 0.2]), got
        finally:
            await c.close()

    def raw():
        asyncio.run(run(True))

    def typed():
        asyncio.run(run(False))

    return [raw, typed]


def health():
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    def check():
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", "simple", "inference.GRPCInferenceService"):
                assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
            for name, code in (("nobody", grpc.StatusCode.NOT_FOUND),):
                try:
                    stub.Check(health_pb2.HealthCheckRequest(service=name))
                except grpc.RpcError as e:
                    assert e.code() == code, e
                else:
                    raise AssertionError(name)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service="simple"))
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()

    def reflection():
        with grpc.insecure_channel(address) as channel:
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
            assert "inference.GRPCInferenceService" in services and "tensorflow.serving.PredictionService" in services, services

    return [check, reflection]


for flow in {"triton": triton, "kserve": kserve, "health": health}[what]():
    error = ""
    try:
        flow()
    except BaseException:
        error = traceback.format_exc(limit=-4)
    print(json.dumps({"flow": flow.__name__, "error": error}), flush=True)
