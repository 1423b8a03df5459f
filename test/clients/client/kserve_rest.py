"""kserve.InferenceRESTClient, protocol versions v2 and v1."""

import os

import numpy as np
import pandas as pd
from kserve import InferenceRESTClient, InferInput, InferOutput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

server = os.environ["TRIMTAB_SERVER"]
frame = pd.DataFrame(
    {
        "island": ["Biscoe", "Dream"],
        "bill_length_mm": [46.1, 39.5],
        "bill_depth_mm": [13.2, 17.4],
        "flipper_length_mm": [211.0, 186.0],
        "body_mass_g": [4500.0, 3800.0],
        "sex": ["female", None],
    }
)


def client(protocol="v2"):
    return InferenceRESTClient(RESTConfig(protocol=protocol, retries=1, timeout=30))


def simple(binary=True):
    data = np.arange(16, dtype=np.int32).reshape(1, 16)
    out = []
    for name in ("INPUT0", "INPUT1"):
        t = InferInput(name, list(data.shape), "INT32")
        t.set_data_from_numpy(data, binary_data=binary)
        out.append(t)
    return out


async def flow_ready():
    async with client() as c:
        assert await c.is_server_live(server) and await c.is_server_ready(server)
        assert await c.is_model_ready(server, "penguins")


async def flow_columns():
    columns = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype == object:
            columns.append(InferInput(name, [len(values)], "BYTES", data=list(values)))
        else:
            t = InferInput(name, [len(values)], "FP64")
            t.set_data_from_numpy(values.to_numpy(), binary_data=False)
            columns.append(t)
    async with client() as c:
        answer = await c.infer(server, InferRequest(model_name="penguins", request_id="42", infer_inputs=columns), model_name="penguins")
    assert answer.id == "42" and answer.model_name == "penguins", answer
    outputs: dict[str, InferOutput] = {o.name: o for o in answer.outputs}
    assert list(outputs["label"].data) == ["Gentoo", "Adelie"], outputs["label"].data
    p = outputs["probabilities"].as_numpy()
    assert p.shape == (2, 3) and np.allclose(p.sum(axis=1), 1)


async def flow_binary():
    async with client() as c:
        for binary in (True, False):
            request = InferRequest(
                model_name="simple",
                infer_inputs=simple(binary),
                request_outputs=[RequestedOutput("OUTPUT0", parameters={"binary_data": binary})],
            )
            answer = await c.infer(server, request, model_name="simple", headers={"accept-encoding": "gzip, deflate, zstd"})
            assert (answer.outputs[0].as_numpy().reshape(-1) == 2 * np.arange(16)).all()


async def flow_base_path():
    async with client() as c:
        assert await c.is_model_ready(server + "/d/simple/oip", "simple")


async def flow_refusals():
    async with client() as c:
        for model, inputs in (("nobody", simple()), ("simple", simple()[:1])):
            try:
                await c.infer(server, InferRequest(model_name=model, infer_inputs=inputs), model_name=model)
            except Exception as e:
                assert "500" not in str(e) and ("404" in str(e) or "400" in str(e)), e
                continue
            raise AssertionError("it was not refused")
