"""What a complete job adds: a map, and one file of all parts."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from triptych.artefacts.embedding import closing, embed_images, job, mapping
from triptych.errors import DataError


def test_the_map_is_that_of_a_principal_component_analysis_of_all_rows(photos_model, photos, tmp_path):
    from sklearn.decomposition import PCA

    embed_images(photos_model, photos, tmp_path / "out", shard_size=3, with_map=True)

    table = pq.read_table(tmp_path / "out").to_pandas()
    assert list(table.columns)[-3:] == ["embedding", "x", "y"]
    expected = PCA(2).fit_transform(np.stack(table.embedding).astype(np.float64))
    found = table[["x", "y"]].to_numpy()
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_job_killed_while_the_map_is_filled_in_ends_with_the_same_bytes(
    photos_model, photos, tmp_path, monkeypatch, precision
):
    given = {"shard_size": 3, "with_map": True, "precision": precision}
    embed_images(photos_model, photos, tmp_path / "whole", **given)
    real, calls = closing.place_table, []

    def place_or_die(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(closing, "place_table", place_or_die)
    with pytest.raises(KeyboardInterrupt):
        embed_images(photos_model, photos, tmp_path / "out", **given)
    assert not (tmp_path / "out" / "_SUCCESS").exists()

    embed_images(photos_model, photos, tmp_path / "out", **given)

    for part in (tmp_path / "whole").glob("*.parquet"):
        assert (tmp_path / "out" / part.name).read_bytes() == part.read_bytes()


def test_memory_does_not_grow_with_the_rows(tmp_path):
    import pyarrow as pa

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((1000, 5)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 5)
    pq.write_table(pa.table({"embedding": column}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"embedding": column.slice(0, 0)}), tmp_path / "b.parquet")

    axes = mapping.principal_axes([tmp_path / "a.parquet", tmp_path / "b.parquet"], 5)

    assert (axes.centre.shape, axes.directions.shape) == ((5,), (5, 2))
    np.testing.assert_allclose(axes.directions.T @ axes.directions, np.eye(2), atol=1e-12)
    points = axes.mapped(vectors.astype(np.float64))
    assert points[:, 0].var() >= points[:, 1].var()


def test_one_file_has_the_rows_of_the_folder(photos_model, photos, tmp_path):
    embed_images(photos_model, photos, tmp_path / "folder", shard_size=3, with_map=True)

    report = embed_images(photos_model, photos, tmp_path / "out.parquet", shard_size=3, with_map=True)

    assert pq.read_table(tmp_path / "out.parquet").equals(pq.read_table(tmp_path / "folder"))
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.failures.parquet", "out.parquet"]
    assert report.failures_file == tmp_path / "out.failures.parquet"
    assert pq.read_table(report.failures_file).num_rows == report.failures == 2
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert metadata[b"triptych.model_fingerprint"].decode() == photos_model.fingerprint
    assert json.loads(metadata[b"triptych.job"])["rows"] == 6


def test_a_complete_file_is_not_computed_again_and_no_other_is_overwritten(
    photos_model, digits_model, photos, tmp_path, monkeypatch
):
    first = embed_images(photos_model, photos, tmp_path / "out.parquet")
    monkeypatch.setattr("triptych.artefacts.embedding.job.write_part", lambda *_: pytest.fail("computed again"))

    assert embed_images(photos_model, photos, tmp_path / "out.parquet") == first
    with pytest.raises(DataError, match="is of another job"):
        embed_images(digits_model, photos, tmp_path / "out.parquet")
    (tmp_path / "mine.parquet").write_text("mine")
    with pytest.raises(DataError, match="is of another job"):
        embed_images(photos_model, photos, tmp_path / "mine.parquet")
    assert (tmp_path / "mine.parquet").read_text() == "mine"


def test_workers_of_one_file_leave_their_parts_until_the_last_has_ended(photos_model, photos, tmp_path):
    for worker in range(3):
        report = embed_images(photos_model, photos, tmp_path / "out.parquet", shard_size=3, shard=(worker, 3))
        assert (tmp_path / "out.parquet").exists() == (worker == 2) == report.is_complete
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 6


@pytest.mark.parametrize("changed", [{"precision": "float16"}, {"with_map": True}])
def test_a_complete_file_is_not_returned_for_other_options(photos_model, photos, tmp_path, changed):
    out = tmp_path / "out.parquet"
    embed_images(photos_model, photos, out)
    with pytest.raises(DataError, match="expected the options by which this job was written, float32 without a map"):
        embed_images(photos_model, photos, out, **changed)


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_process_ends_well_where_another_one_has_written_the_file_meanwhile(
    photos_model, photos, tmp_path, monkeypatch, shard
):
    """Two processes work at one job; the other one ends while this one is at a shard."""
    out, real = tmp_path / "out.parquet", job.write_part

    def other_ends_first(folder, plan, number, model, **named):
        if number == shard:
            with monkeypatch.context() as patch:
                patch.setattr(job, "write_part", real)
                embed_images(photos_model, photos, out, shard_size=3)
        return real(folder, plan, number, model, **named)

    monkeypatch.setattr(job, "write_part", other_ends_first)
    report = embed_images(photos_model, photos, out, shard_size=3)

    assert (report.is_complete, report.rows, report.failures) == (True, 6, 2)
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.failures.parquet", "out.parquet"]
    assert pq.read_table(out).num_rows == 6


@pytest.mark.parametrize("out", ["out", "out.parquet"])
def test_a_complete_job_has_nothing_of_killed_processes(photos_model, photos, tmp_path, out):
    target = tmp_path / out
    embed_images(photos_model, photos, target, shard_size=3, shard=(0, 2))
    folder = target if out == "out" else tmp_path / "out.parquet.job"
    staged = f"{'0a' * 16}-part-00001-of-00003.parquet"
    (folder / "_failures").mkdir(exist_ok=True)
    beside = tmp_path / ".out.failures.parquet.x1y2.part.parquet"
    beside.write_text("of a killed process")
    for name in (
        f"_job/{staged}",
        f"_job/.{staged}.x1y2.part.parquet",
        "_job/.failures-00001.json.x1y2.part.json",
        "_failures/.failures.parquet.x1y2.part.parquet",
        "._SUCCESS.x1y2.part",
    ):
        (folder / name).write_text("of a killed process")

    report = embed_images(photos_model, photos, target, shard_size=3)

    assert (report.is_complete, report.rows) == (True, 6)
    names = [path.name for path in tmp_path.rglob("*") if path != beside]
    assert not [name for name in names if ".part" in name or name == staged]
    assert beside.exists() is (out == "out")  # of another job, which may be running


def test_a_slow_process_ends_well_where_the_job_was_completed_and_tidied_meanwhile(
    photos_model, photos, tmp_path, monkeypatch
):
    out, real = tmp_path / "out", job.write_part

    def other_ends_first(folder, plan, number, model, **named):
        with monkeypatch.context() as patch:
            patch.setattr(job, "write_part", real)
            embed_images(photos_model, photos, out, shard_size=3)
        raise FileNotFoundError("its temporary file was removed")

    monkeypatch.setattr(job, "write_part", other_ends_first)

    assert embed_images(photos_model, photos, out, shard_size=3).is_complete
