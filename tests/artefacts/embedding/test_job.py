"""Embeddings in Parquet files: the right rows, once, whatever stops the job and however it is divided."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from triptych.artefacts.embedding import embed_images, job, parts
from triptych.data.builder import read_images
from triptych.data.pixels.opening import NOT_UTF8
from triptych.errors import DataError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_rows_are_the_models_outputs_for_each_image(photos_model, photos, tmp_path):
    report = embed_images(photos_model, photos, tmp_path / "out", shard_size=3)

    table = pq.read_table(tmp_path / "out").to_pandas()
    assert (report.rows, report.failures, report.shards, report.is_complete) == (6, 2, 3, True)
    assert list(table.columns) == [
        *("id", "path", "label", "prediction", "probability", "reconstruction_error", "embedding")
    ]
    assert table.id.is_unique
    files = list(table.path)
    np.testing.assert_allclose(np.stack(table.embedding), photos_model.embed(files).vectors, atol=1e-6)
    names, probabilities = photos_model.classify(files)
    assert tuple(table.prediction) == names
    np.testing.assert_allclose(table.probability, probabilities.max(1), atol=1e-6)
    folders = [Path(path).parent.name for path in files]
    assert list(table.label.fillna("")) == [name if name == "deeper" else "" for name in folders]
    images = read_images(files, photos_model.config.dataset)
    reconstructed = photos_model.network.reconstruct(images).detach()
    inner = (reconstructed - images)[:, :, 2:-2, 2:-2]  # without the padding
    np.testing.assert_allclose(table.reconstruction_error, inner.square().mean((1, 2, 3)), atol=1e-6)
    metadata = pq.read_schema(next((tmp_path / "out").glob("part-*"))).metadata
    assert metadata[b"triptych.model_fingerprint"].decode() == photos_model.fingerprint


def test_what_could_not_be_read_is_listed_with_its_reason(photos_model, photos, tmp_path):
    embed_images(photos_model, photos, tmp_path / "out")

    failures = pq.read_table(tmp_path / "out" / "_failures" / "failures.parquet").to_pylist()
    assert [Path(one["path"]).name for one in failures] == ["cut.png", "text.jpg"]
    assert "damaged or cut off" in failures[0]["reason"]
    assert "is none of JPEG" in failures[1]["reason"]
    counts = json.loads((tmp_path / "out" / "_SUCCESS").read_text())
    assert (counts["images"], counts["rows"], counts["failures"], counts["parts"]) == (8, 6, 2, 1)


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_job_that_was_killed_continues_with_the_same_bytes(photos_model, photos, tmp_path, monkeypatch, done):
    embed_images(photos_model, photos, tmp_path / "whole", shard_size=3)
    written = []

    def write_or_die(*arguments, embedded):
        if len(written) == done:
            raise KeyboardInterrupt
        written.append(arguments)
        return real(*arguments, embedded=embedded)

    real = job.write_part
    monkeypatch.setattr(job, "write_part", write_or_die)
    with pytest.raises(KeyboardInterrupt):
        embed_images(photos_model, photos, tmp_path / "out", shard_size=3)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    monkeypatch.setattr(job, "write_part", real)
    shutil.copy(photos / "b.png", photos / "aa_new.png")  # what comes later is not of this job

    embed_images(photos_model, photos, tmp_path / "out", shard_size=3)

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_workers_divide_the_shards_and_the_last_one_closes_the_job(photos_model, photos, tmp_path):
    embed_images(photos_model, photos, tmp_path / "whole", shard_size=2)

    for worker in (2, 0, 1):
        report = embed_images(photos_model, photos, tmp_path / "out", shard_size=2, shard=(worker, 3))
        assert (tmp_path / "out" / "_SUCCESS").exists() == (worker == 1) == report.is_complete

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_half_precision_is_stored_in_half_the_bytes(photos_model, photos, tmp_path):
    embed_images(photos_model, photos, tmp_path / "out", precision="float16")

    table = pq.read_table(tmp_path / "out")
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: halffloat>[6]"
    found = np.stack(table["embedding"].to_pylist()).astype(np.float32)
    np.testing.assert_allclose(found, photos_model.embed(table["path"].to_pylist()).vectors, atol=1e-3)


def test_duckdb_pandas_and_polars_open_the_folder(photos_model, photos, tmp_path):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    import pandas

    out = tmp_path / "out"
    embed_images(photos_model, photos, out, shard_size=3)

    counted = duckdb.sql(f"select count(*), avg(embedding[1]) from '{out}/*.parquet'").fetchall()[0]
    frame = polars.read_parquet(out / "*.parquet")
    assert (counted[0], len(pandas.read_parquet(out)), len(frame)) == (6, 6, 6)
    assert frame["embedding"].dtype == polars.Array(polars.Float32, 6)


def test_a_folder_of_another_job_is_not_touched(photos_model, digits_model, photos, tmp_path):
    embed_images(photos_model, photos, tmp_path / "out", shard_size=3)
    before = contents(tmp_path / "out")

    with pytest.raises(DataError, match="expected a job as it was begun, a job of the model"):
        embed_images(digits_model, photos, tmp_path / "out", shard_size=3)
    with pytest.raises(DataError, match="shards of 3 images"):
        embed_images(photos_model, photos, tmp_path / "out", shard_size=4)
    with pytest.raises(DataError, match=f"expected a job as it was begun.* on {photos} "):
        embed_images(photos_model, photos / "deeper", tmp_path / "out", shard_size=3)
    assert contents(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.parquet").touch()
    with pytest.raises(DataError, match="expected a new folder"):
        embed_images(photos_model, photos, tmp_path / "mine")


def test_progress_counts_the_images_of_this_worker(photos_model, photos, tmp_path):
    seen = []

    embed_images(photos_model, photos, tmp_path / "out", shard_size=3, shard=(0, 2), progress=lambda *n: seen.append(n))
    assert seen == [(0, 5), (3, 5), (5, 5)]
    seen.clear()
    embed_images(photos_model, photos, tmp_path / "out", shard_size=3, progress=lambda *n: seen.append(n))
    assert seen == [(5, 8), (8, 8)]


def test_workers_that_begin_at_once_use_the_plan_of_the_first(photos_model, photos, tmp_path, monkeypatch):
    real = job.write_list

    def list_late(folder, images):
        monkeypatch.setattr(job, "write_list", real)
        embed_images(photos_model, photos, folder, shard_size=3)  # another worker has been quicker
        shutil.copy(photos / "b.png", photos / "aa_new.png")
        return real(folder, job.list_sources(photos))

    monkeypatch.setattr(job, "write_list", list_late)
    report = embed_images(photos_model, photos, tmp_path / "out", shard_size=3)
    assert (report.rows, report.failures, report.is_complete) == (6, 2, True)


def test_a_bundle_is_computed_by_onnx_runtime(photos_model, photos_bundle):
    assert not job.opened(photos_bundle).has_network
    assert job.opened(photos_model.path).has_network


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (0, 0)])
def test_a_worker_that_cannot_be_is_rejected(photos_model, photos, tmp_path, shard):
    with pytest.raises(ValueError, match=r"shard must be \(i, n\)"):
        embed_images(photos_model, photos, tmp_path / "out", shard=shard)


def test_a_file_name_that_is_no_utf8_is_listed_among_the_failures(photos_model, photos, tmp_path):
    (tmp_path / "images").mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    for target in ("good.png", name):
        shutil.copyfile(next(photos.glob("[ab].png")), tmp_path / "images" / target)

    report = embed_images(photos_model, tmp_path / "images", tmp_path / "out")

    (failure,) = pq.read_table(tmp_path / "out" / "_failures" / "failures.parquet").to_pylist()
    assert (report.rows, report.failures, report.is_complete) == (1, 1, True)
    assert failure["reason"] == NOT_UTF8
    assert failure["path"] == str(tmp_path / "images" / "caf\N{REPLACEMENT CHARACTER}.png")


def test_workers_with_one_process_number_on_two_machines_begin_one_job(photos_model, photos, tmp_path, monkeypatch):
    real, others = os.link, []

    def other_machine_first(written, place):
        if not others:
            others.append(True)
            embed_images(photos_model, photos, tmp_path / "out", shard_size=3)
        real(written, place)

    monkeypatch.setattr(os, "link", other_machine_first)
    report = embed_images(photos_model, photos, tmp_path / "out", shard_size=3)
    assert (report.is_complete, report.rows, report.failures) == (True, 6, 2)


def test_a_part_of_a_complete_job_is_not_replaced_by_a_slower_process(photos_model, photos, tmp_path, monkeypatch):
    given, real = {"shard_size": 3, "with_map": True}, parts.place_table

    def other_ends_first(table, path, **named):
        with monkeypatch.context() as patch:
            patch.setattr(parts, "place_table", real)
            embed_images(photos_model, photos, tmp_path / "out", **given)
        real(table, path, **named)

    monkeypatch.setattr(parts, "place_table", other_ends_first)
    embed_images(photos_model, photos, tmp_path / "out", **given)

    table = pq.read_table(tmp_path / "out")
    assert (len(table), table["x"].null_count, table["y"].null_count) == (6, 0, 0)
