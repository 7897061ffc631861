"""A cluster of Ray that loses a node in the middle writes what one process writes, byte for byte."""

import os
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a task of Ray has: sums of several threads may differ in the last bit."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_that_loses_a_node_writes_the_same_bytes(digits_bundle, tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from triptych.artefacts.embedding import embed_images

    pixels = np.random.default_rng(0).integers(0, 256, (2000, 8, 8), np.uint8)
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.bmp")
    given = {"model": digits_bundle, "images": tmp_path / "photos", "shard_size": 50}
    embed_images(out=tmp_path / "local", **given)

    root = str(Path(__file__).parents[3])
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "env_vars": {"PYTHONPATH": root}}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    lost = []
    try:
        workers = [cluster.add_node(**node) for _ in range(2)]
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        out = tmp_path / "cluster"

        def lose_a_node() -> None:
            end = monotonic() + 300  # machines may be busy
            while len(list(out.glob("part-*"))) < 6 and monotonic() < end:
                sleep(0.01)
            lost.append(len(list(out.glob("part-*"))))
            cluster.remove_node(workers[0], allow_graceful=False)

        thread = Thread(target=lose_a_node)
        thread.start()
        report = embed_images(out=out, engine="ray", **given)
        thread.join()
    finally:
        ray.shutdown()
        cluster.shutdown()

    assert 6 <= lost[0] < 40, f"the node was lost when {lost[0]} of 40 parts were there"
    assert (report.rows, report.is_complete) == (2000, True)
    written = {path.name: path.read_bytes() for path in out.glob("part-*")}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "local").glob("part-*")}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
