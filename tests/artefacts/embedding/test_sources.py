"""Images from tables, from splits of known data sets and from object stores get the rows that their files would get."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from triptych.artefacts.embedding import embed_images
from triptych.artefacts.embedding.sources import list_sources, source_name
from triptych.errors import DataError

NAMES = ("a.jpg", "b.png", "deeper/d.bmp", "cut.png")


def embedded(model, images, out: Path):
    embed_images(model, images, out, shard_size=3)
    return pq.read_table(out).to_pandas()


@pytest.fixture
def expected(photos_model, photos):
    return photos_model.embed([photos / name for name in NAMES[:3]]).vectors


def test_a_csv_table_names_files_and_labels(photos_model, photos, tmp_path, expected):
    with (photos / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("path", "label"), *zip(NAMES, ("x", "y", "", "y"), strict=True), ("b.png", "again")]
        )

    rows = embedded(photos_model, photos / "table.csv", tmp_path / "out")

    assert list(rows.path) == [str(photos / name) for name in NAMES[:3]]
    assert list(rows.label.fillna("-")) == ["x", "y", "-"]
    np.testing.assert_array_equal(np.stack(rows.embedding), expected)
    (failure,) = pq.read_table(tmp_path / "out" / "_failures" / "failures.parquet").to_pylist()
    assert failure["path"] == str(photos / "cut.png")


@pytest.mark.parametrize("kind", ["paths", "bytes", "hugging_face"])
def test_a_parquet_table_names_files_or_holds_them(photos_model, photos, tmp_path, expected, kind):
    content = [(photos / name).read_bytes() for name in NAMES]
    images = {
        "paths": pa.array(NAMES),
        "bytes": pa.array(content),
        "hugging_face": pa.array(
            [{"bytes": None, "path": NAMES[0]}, *({"bytes": one, "path": None} for one in content[1:])]
        ),
    }[kind]
    column = "path" if kind == "paths" else "image"
    table = pa.table({column: images, "label": pa.array([3, 1, None, 2])})
    pq.write_table(table, photos / "table.parquet", row_group_size=2)

    rows = embedded(photos_model, photos / "table.parquet", tmp_path / "out")

    np.testing.assert_array_equal(np.stack(rows.embedding), expected)
    assert list(rows.label.fillna("-")) == ["3", "1", "-"]
    assert rows.id.is_unique
    if kind != "paths":
        assert rows.path[1] == f"{photos / 'table.parquet'}#row=1"


@pytest.mark.parametrize(
    ("content", "message"),
    [("a,b\n1,2\n", "expected a column path"), ("path,label\na.jpg,x\n,y\n", "row 1 has none")],
)
def test_a_table_without_images_is_rejected(photos_model, tmp_path, content, message):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        embed_images(photos_model, tmp_path / "table.csv", tmp_path / "out")
    (tmp_path / "table.parquet").write_text("no table")
    with pytest.raises(DataError, match="expected a whole Parquet file"):
        embed_images(photos_model, tmp_path / "table.parquet", tmp_path / "out")


def test_a_split_of_a_known_data_set_is_embedded_as_the_model_was_trained(digits_model, tmp_path):
    from triptych.data.builder import load_dataset

    rows = embedded(digits_model, "digits:test", tmp_path / "out")

    test = load_dataset("digits").test
    assert list(rows.label) == [str(label) for label in test.labels.tolist()]
    assert rows.id[7] == "digits:test#7"
    expected = digits_model.embed(test.images.float() / 255).vectors
    np.testing.assert_allclose(np.stack(rows.embedding), expected, atol=1e-6)


def test_a_file_with_the_name_of_a_split_is_a_file(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist:test").mkdir()
    (tmp_path / "mnist:test" / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    assert list_sources("mnist:test").places == [str(tmp_path / "mnist:test" / "a.jpg")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of moto's server of S3, and the environment in which fsspec finds it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    boto3.client("s3").create_bucket(Bucket="photos")
    yield "photos"
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_images_in_s3_are_embedded_like_files(photos_model, photos, tmp_path, bucket):
    import boto3

    client = boto3.client("s3")
    files = [path for path in photos.rglob("*") if path.is_file()]
    for path in files:
        client.upload_file(str(path), bucket, f"folder/{path.relative_to(photos).as_posix()}")
    client.upload_file(str(files[0]), bucket, "folder/.hidden/x.jpg")

    remote = embedded(photos_model, f"s3://{bucket}/folder", tmp_path / "s3")
    local = embedded(photos_model, photos, tmp_path / "files")

    assert [path.removeprefix(f"s3://{bucket}/folder/") for path in remote.path] == [
        Path(path).relative_to(photos).as_posix() for path in local.path
    ]
    np.testing.assert_array_equal(np.stack(remote.embedding), np.stack(local.embedding))
    assert list(remote.label.fillna("")) == list(local.label.fillna(""))
    failures = pq.read_table(tmp_path / "s3" / "_failures" / "failures.parquet").to_pylist()
    assert len(failures) == 2
    with pytest.raises(DataError, match=r"expected images \(.*there are none"):
        embed_images(photos_model, f"s3://{bucket}/nothing", tmp_path / "none")
    with pytest.raises(DataError, match="cannot be listed"):
        embed_images(photos_model, "s3://no-such-bucket/x", tmp_path / "none")
    with pytest.raises(DataError, match="nosuch://x: "):
        embed_images(photos_model, "nosuch://x", tmp_path / "none")


def test_an_image_has_one_id_wherever_the_command_is_run(photos, monkeypatch):
    expected = list_sources(photos).places
    (photos.parent / "elsewhere").mkdir()
    monkeypatch.chdir(photos.parent / "elsewhere")
    place = Path("..") / photos.name

    assert list_sources(place).places == expected
    assert source_name(place) == source_name(photos)
    assert list_sources(place / "a.jpg").places == [str(photos / "a.jpg")]


def test_a_link_before_two_points_is_followed(photos, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(photos / "deeper")
    monkeypatch.chdir(tmp_path / "here")

    assert all(Path(place).is_file() for place in list_sources(Path("link") / "..").places)


def test_names_that_are_not_utf8_are_no_crash_for_one_image_or_a_table(photos, photos_model, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    (folder / "t.csv").write_text("path\na.jpg\n")

    for number, place in enumerate((folder / "a.jpg", folder / "t.csv")):
        report = embed_images(photos_model, place, tmp_path / f"out{number}")
        assert (report.rows, report.failures) == (0, 1)
