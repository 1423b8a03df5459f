"""tritonclient over HTTP with asyncio."""

import asyncio
import os

import numpy as np
import tritonclient.http.aio as triton

address = os.environ["TRIMTAB_SERVER"].removeprefix("http://")


def inputs(binary):
    out = []
    for name in ("INPUT0", "INPUT1"):
        t = triton.InferInput(name, [1, 16], "INT32")
        t.set_data_from_numpy(np.arange(16, dtype=np.int32).reshape(1, 16), binary_data=binary)
        out.append(t)
    return out


async def flow_infer():
    async with triton.InferenceServerClient(url=address) as c:
        await c.load_model("simple")
        assert await c.is_server_live() and await c.is_model_ready("simple")
        for binary in (True, False):
            for algorithm in (None, "gzip", "deflate"):
                answers = await asyncio.gather(
                    *(
                        c.infer(
                            "simple",
                            inputs(binary),
                            outputs=[triton.InferRequestedOutput("OUTPUT0", binary_data=binary)],
                            request_compression_algorithm=algorithm,
                            response_compression_algorithm=algorithm,
                        )
                        for _ in range(8)
                    )
                )
                for result in answers:
                    assert (result.as_numpy("OUTPUT0") == 2 * np.arange(16)).all()


async def flow_management():
    async with triton.InferenceServerClient(url=address) as c:
        assert (await c.get_server_metadata())["name"] == "trimtab"
        assert (await c.get_model_metadata("penguins"))["platform"] == "trimtab"
        assert any(m["name"] == "simple" for m in await c.get_model_repository_index())
        assert (await c.get_inference_statistics("simple"))["model_stats"][0]["inference_count"] > 0
