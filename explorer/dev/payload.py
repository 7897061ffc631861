"""A payload for work on the page, without the Python side: scikit-learn's digits, repeated with noise to any count.

    python explorer/dev/payload.py OUT.html --bundle BUNDLE [--other BUNDLE] [--count 10000]

Without a bundle the embeddings are a random projection of the pixels, and the page has no model.
"""

import argparse
import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from triptych.visualisation.paper.style import class_colours

SIDE, CELL, SHEET = 8, 16, 64
PAGE = Path(__file__).parents[2] / "triptych" / "explorer" / "page"


def digits(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (N, 8, 8) in [0, 1], their true labels and labels of which 3 % are wrong."""
    draw = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    chosen = np.arange(count) % len(images) if count > len(images) else np.arange(count)
    pixels = images[chosen].reshape(-1, SIDE, SIDE).astype(np.float32) / 16
    pixels[len(images) :] += draw.normal(0, 0.04, pixels[len(images) :].shape).astype(np.float32)
    true = labels[chosen].astype(np.int32)
    given = true.copy()
    wrong = draw.choice(count, count * 3 // 100, replace=False)
    given[wrong] = (given[wrong] + draw.integers(1, 10, len(wrong))) % 10
    return pixels.clip(0, 1), true, given


def model_columns(bundle: Path | None, pixels: np.ndarray, labels: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """Return the columns that a model gives, and the length of its latent."""
    if bundle is None:
        flat = pixels.reshape(len(pixels), -1)
        embedding = flat @ np.random.default_rng(1).normal(size=(64, 32))
        logits = np.stack([-((flat - flat[labels == k].mean(0)) ** 2).sum(1) for k in range(10)], 1) * 2
        latent = error = None
    else:
        import onnxruntime

        encoder = onnxruntime.InferenceSession(str(bundle / "encoder.onnx"))
        decoder = onnxruntime.InferenceSession(str(bundle / "decoder.onnx"))
        parts = [
            encoder.run(None, {"images": part[:, None]}) for part in np.array_split(pixels, len(pixels) // 500 + 1)
        ]
        embedding, logits, latent = (np.concatenate(part) for part in zip(*parts, strict=True))
        error = np.concatenate(
            [
                ((decoder.run(None, {"latent": mu})[0][:, 0] - part) ** 2).mean((1, 2))
                for mu, part in zip(
                    np.array_split(latent, len(pixels) // 500 + 1),
                    np.array_split(pixels, len(pixels) // 500 + 1),
                    strict=True,
                )
            ]
        )
    embedding = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    exp = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exp / exp.sum(1, keepdims=True)
    centred = embedding - embedding.mean(0)
    _, vectors = np.linalg.eigh(centred[:20000].T @ centred[:20000])
    pca = centred @ vectors[:, [-1, -2]]
    rows = np.arange(len(labels))
    columns = {
        "prediction": probabilities.argmax(1).astype("<i4"),
        "confidence": probabilities.max(1).astype("<f4"),
        "probabilities": probabilities.astype("<f2"),
        "embedding": embedding.astype("<f2"),
        "pca": pca.astype("<f4"),
        "suspicion": (1 - probabilities[rows, labels]).astype("<f4"),
        "suggestion": np.where(probabilities[rows, labels] < 0.5, probabilities.argmax(1), labels).astype("<i4"),
    }
    if latent is not None:
        columns |= {"latent": latent.astype("<f2"), "reconstruction_error": error.astype("<f4")}
    return columns, 0 if latent is None else latent.shape[1]


def tsne_like(columns: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """Return t-SNE, or for many points a layout with clusters without its cost: classes on a circle, PCA inside."""
    if len(columns["pca"]) < 3000:
        from sklearn.manifold import TSNE

        return TSNE(random_state=seed).fit_transform(columns["embedding"].astype(np.float32)).astype("<f4")
    angle = columns["prediction"] * (2 * np.pi / 10)
    pca = columns["pca"]
    noise = np.random.default_rng(seed).normal(0, 0.35, pca.shape)
    return (np.stack([np.cos(angle), np.sin(angle)], 1) * 4 + pca * 1.2 + noise).astype("<f4")


def sheets(pixels: np.ndarray) -> list[bytes]:
    """Return PNG sheets of the images, twice enlarged."""
    files = []
    for start in range(0, len(pixels), SHEET * SHEET):
        part = pixels[start : start + SHEET * SHEET]
        full = np.zeros((SHEET * SHEET, SIDE, SIDE), np.float32)
        full[: len(part)] = part
        cells = full.reshape(SHEET, SHEET, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(SHEET * SIDE, SHEET * SIDE)
        picture = Image.fromarray((cells * 255).astype(np.uint8)).resize((SHEET * CELL, SHEET * CELL), Image.NEAREST)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


def info(name: str, bundle: Path | None, columns: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """Return the manifest's description of a model."""
    latent = columns.get("latent")
    order = [] if latent is None else np.argsort(-latent.astype(np.float32).var(0)).tolist()
    groups = [] if latent is None else [latent[labels == k].astype(np.float64) for k in range(10)]
    return {
        "name": name,
        "fingerprint": f"{name}-{len(labels)}",
        "classes": [f"{k}" for k in range(10)],
        "channels": 1,
        "height": SIDE,
        "width": SIDE,
        "embeddingDim": columns["embedding"].shape[1],
        "latentDim": 0 if latent is None else latent.shape[1],
        "activeDimensions": order,
        "encoder": "page" if bundle else "none",
        "decoder": "page" if bundle else "none",
        "strokes": True,
        "background": [0.0],
        "classLatents": {
            "mean": [group.mean(0).tolist() for group in groups],
            "std": [group.std(0).tolist() for group in groups],
        },
        "metrics": {"accuracy": float((columns["prediction"] == labels).mean()), "images": float(len(labels))},
        "resize": "stretch",
    }


def payload(count: int, bundle: Path | None, other: Path | None, places: np.ndarray | None = None) -> dict[str, bytes]:
    """Return all blobs, before compression; `places` (N, 2) take the place of t-SNE."""
    pixels, _, labels = digits(count)
    columns, _ = model_columns(bundle, pixels, labels)
    columns["tsne"] = tsne_like(columns, 0) if places is None else places.astype("<f4")
    rows = np.arange(count)
    columns |= {
        "label": labels.astype("<i4"),
        "split": (rows % 10 == 0).astype(np.uint8),
        "row": rows.astype("<i4"),
    }
    manifest: dict[str, Any] = {
        "version": 1,
        "title": "digits, development payload",
        "live": False,
        "splits": ["train", "test"],
        "count": count,
        "corrections": "index",
        "colours": class_colours(10),
        "model": info("digits", bundle, columns, labels),
    }
    blobs: dict[str, bytes] = {}
    if bundle:
        blobs |= {f"{part}.onnx": (bundle / f"{part}.onnx").read_bytes() for part in ("encoder", "decoder")}
    if other:
        second, _ = model_columns(other, pixels, labels)
        second["tsne"] = tsne_like(second, 1)
        manifest["other"] = info("digits-2", other, second, labels)
        columns |= {f"other/{name}": column for name, column in second.items()}
        blobs |= {f"other/{part}.onnx": (other / f"{part}.onnx").read_bytes() for part in ("encoder", "decoder")}
    types = {"<f4": "float32", "<f2": "float16", "<i4": "int32", "|u1": "uint8"}
    manifest["columns"] = [
        {"name": name, "dtype": types[column.dtype.str], "shape": list(column.shape)}
        for name, column in columns.items()
    ]
    pictures = {f"sheet-{index}.png": picture for index, picture in enumerate(sheets(pixels))}
    manifest["thumbnails"] = {"size": [CELL, CELL], "columns": SHEET, "rows": SHEET, "sheets": list(pictures)}
    blobs |= {name: np.ascontiguousarray(column).tobytes() for name, column in columns.items()} | pictures
    blobs["paths"] = json.dumps([f"{'test' if row % 10 == 0 else 'train'}/{row}" for row in range(count)]).encode()
    blobs["manifest"] = json.dumps(manifest).encode()
    return blobs


def page_with(blobs: dict[str, bytes]) -> str:
    """Return the page with the blobs inside."""
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    packed = {name: gzip.compress(content, 0 if name.startswith("sheet") else 4) for name, content in blobs.items()}
    packed["ort.wasm"] = (PAGE / "ort.wasm.gz").read_bytes()
    elements = "\n".join(
        f'<script type="application/gzip+base64" id="blob-{name}">{base64.b64encode(content).decode()}</script>'
        for name, content in packed.items()
    )
    head, _, tail = page.rpartition("</body>")
    return f"{head}{elements}</body>{tail}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--count", type=int, default=1797)
    chosen = parser.parse_args()
    chosen.out.write_text(page_with(payload(chosen.count, chosen.bundle, chosen.other)), encoding="utf-8")
