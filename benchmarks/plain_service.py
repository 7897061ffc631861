"""A service as one writes it first, for `benchmarks/serving.py`: every request is computed by itself, in a thread.

FastAPI, Pillow, ONNX Runtime with its defaults, and no limits, ids, logs or metrics.

    python benchmarks/plain_service.py BUNDLE
"""

import io
import socket
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

session = onnxruntime.InferenceSession(f"{sys.argv[1]}/encoder.onnx", providers=["CPUExecutionProvider"])
app = FastAPI()


def embed(file: bytes) -> list[list[float]]:
    """Compute the embedding of an image of the model's size."""
    pixels = np.asarray(Image.open(io.BytesIO(file)), np.float32) / 255
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    vectors: list[list[float]] = session.run(["embedding"], {"images": channels_first[None]})[0].tolist()
    return vectors


@app.post("/embed")
async def answer(request: Request) -> dict[str, list[list[float]]]:
    """Answer a request with one image."""
    return {"embeddings": await run_in_threadpool(embed, await request.body())}


listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listening.bind(("127.0.0.1", 0))
listening.listen(128)
print(f"Serving at http://127.0.0.1:{listening.getsockname()[1]};", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])
