"""Pickles of arrays open, from Python 2 and 3 alike; code in a pickle is rejected and does not run."""

import codecs
import collections
import os
import pickle
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from triptych.data.known.unpickling import load_arrays
from triptych.errors import DataError

PATH = Path("data_batch_1")
ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)

# {"data": [[0, 1], [2, 3]] as uint8, "labels": [7, 1]} as Python 2 writes it, and CIFAR-10's batches are written: all
# strings, the array's content among them, are SHORT_BINSTRING ("U"), bytes without an encoding.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x07K\x01eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05"
    b"cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x02K\x02\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x01\x02\x03tbu."
)


class Runs:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_open_in_every_protocol(protocol):
    value = {"data": ARRAY, b"labels": [1, 2], "others": (None, True, 0.5, b"\xff", "é", {"nested": ARRAY[:1].copy()})}
    loaded = load_arrays(pickle.dumps(value, protocol), path=PATH)
    assert (loaded["data"] == ARRAY).all()
    assert loaded["data"].dtype == np.uint8
    assert loaded[b"labels"] == [1, 2]
    assert loaded["others"][:-1] == value["others"][:-1]
    assert (loaded["others"][-1]["nested"] == ARRAY[:1]).all()


def test_a_pickle_of_python_2_opens():
    loaded = load_arrays(PYTHON_2, path=PATH)
    assert loaded["data"].tolist() == [[0, 1], [2, 3]]
    assert loaded["labels"] == [7, 1]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_in_a_pickle_is_rejected_and_does_not_run(tmp_path, protocol):
    trace = tmp_path / "it ran"
    content = pickle.dumps({"data": ARRAY, "labels": Runs(os.system, f"touch '{trace}'")}, protocol)
    with pytest.raises(DataError, match=r"names (posix|nt)\.system, which could run code") as caught:
        load_arrays(content, path=PATH)
    assert "data_batch_1: expected a pickle that holds arrays only" in str(caught.value)
    assert not trace.exists()
    pickle.loads(content)  # the same bytes do run elsewhere: the test would notice
    assert trace.exists()


@pytest.mark.parametrize(
    "call",
    [
        Runs(eval, "1"),
        Runs(getattr, ARRAY, "tofile"),
        Runs(__import__, "antigravity"),
        Runs(np.load, "file.npy"),
        Runs(codecs.decode, b"", "zlib"),
        Runs(pickle.loads, b""),
        collections.OrderedDict(a=1),
        np.uint8(3),
        Path("folder"),
    ],
    ids=["eval", "getattr", "import", "numpy.load", "decode", "pickle", "OrderedDict", "scalar", "path"],
)
def test_whatever_is_not_an_array_is_rejected_by_name(call):
    with pytest.raises(DataError, match=r"it names [\w.]+, which could run code"):
        load_arrays(pickle.dumps([call]), path=PATH)


def test_bytes_are_not_passed_through_any_codec():
    content = pickle.dumps(b"\xff", 2).replace(b"latin1", b"rot_13")
    with pytest.raises(DataError, match="rot_13"):
        load_arrays(content, path=PATH)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", pickle.dumps(ARRAY)[:-9], b"\x80\x7f.", b".", b"\x80\x04\x8e" + b"\xff" * 8, b"q" * 50],
    ids=["empty", "web page", "cut off", "unknown protocol", "nothing", "huge length", "rubbish"],
)
def test_a_damaged_pickle_gives_one_message(content):
    with pytest.raises(DataError, match=re.escape("data_batch_1: expected a pickle of arrays, but received")):
        load_arrays(content, path=PATH)


def test_types_with_a_state_of_their_own_are_not_built():
    # A dtype whose state claims fields and objects crashes the process where NumPy restores it.
    crafted = PYTHON_2.replace(b"K\x03U\x01|NNN", b"K\x03U\x01|}(tN").replace(b"U\x02u1", b"U\x02O8")
    with pytest.raises(DataError):
        load_arrays(crafted, path=PATH)
    with pytest.raises(DataError, match="something else than numbers"):
        load_arrays(pickle.dumps(np.array([{}, None])), path=PATH)


def test_contents_nested_in_themselves_cost_no_time():
    value: object = [1]
    for _ in range(60):
        value = [value, value]
    loaded = load_arrays(pickle.dumps(value), path=PATH)
    assert loaded[0] is loaded[1]
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(DataError, match="a damaged one"):
        load_arrays(pickle.dumps(circle), path=PATH)


NESTED = b"K\x00\x85" + b"".join(b"q%c(h%ch%ct" % (n, n, n) for n in range(1, 90))
"""A tuple of two tuples of two tuples, and so on: tiny in the file, and endless when hashed or written as text."""


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}" + NESTED + b"K\x01s.",
        b"\x80\x02(" + NESTED + b"K\x01d.",
        b"\x80\x02}(" + NESTED + b"K\x01u.",
        b"\x80\x02}" + b"K\x01" + b"\x85" * 1_000_000 + b"K\x01s.",
        b"\x80\x04" + NESTED + b"\x8c\x01x\x93.",
        b"\x80\x02c_codecs\nencode\n(" + NESTED + b"X\x06\0\0\0latin1tR.",
        b"\x80\x02c_codecs\nencode\n(X\x01\0\0\0a" + NESTED + b"tR.",
        PYTHON_2.replace(b"K\x02K\x02\x86", b"J\xff\xff\xff\x7fK\x01\x85\x86"),
        PYTHON_2.replace(b"K\x02K\x02\x86", NESTED),
        PYTHON_2.replace(b"K\x02K\x02\x86", b"J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
    ],
    ids=["item", "dictionary", "items", "deep key", "name", "text", "encoding", "tuple times", "shape", "negative"],
)
def test_nested_tuples_where_keys_texts_or_sizes_belong_are_one_message(content):
    with pytest.raises(DataError, match="data_batch_1: expected a pickle of arrays, but received a damaged one"):
        load_arrays(content, path=PATH)


def test_an_index_of_the_memo_costs_no_memory():
    content = b"\x80\x02]r\xff\xff\xff\x7f."
    tracemalloc.start()
    assert load_arrays(content, path=PATH) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
