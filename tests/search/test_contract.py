"""What every index keeps, whatever holds it: compared with a dictionary whose rows are compared one by one."""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from triptych.errors import SearchError
from triptych.search.calibration import Calibration, Rate
from triptych.search.contract import Index

FINGERPRINT = "f0" * 32
KINDS = {"label": "text", "count": "integer", "share": "number", "checked": "boolean"}
VALUES = {
    "label": st.sampled_from(["cat", "dog", "it's", "", "Zebra", "ä", "猫", "\U0001f431"]),
    "count": st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1]),
    "share": st.sampled_from([0.0, -0.0, 0.5, 0.9, -1.5, 1e300]) | st.floats(-2, 2),
    "checked": st.booleans(),
}

MakeIndex = Callable[[], Index]
Row = Mapping[str, Any]


# Filters, with what they mean in Python: True, False, or None for unknown, as in SQL


class Filter(NamedTuple):
    text: str
    holds: Callable[[Row], bool | None]


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def literals(column: str) -> st.SearchStrategy[Any]:
    return VALUES[column] | st.sampled_from([0.5, -1.5, 2**70]) if column == "count" else VALUES[column]


@st.composite
def comparisons(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(list(KINDS)))
    symbol = draw(st.sampled_from(["=", "!=", "==", "<>"] if column == "checked" else list(COMPARISONS)))
    value = draw(literals(column))

    def holds(row: Row) -> bool | None:
        return None if row.get(column) is None else COMPARISONS[symbol](row[column], value)

    return Filter(f"{column} {symbol} {written(value)}", holds)


@st.composite
def memberships(draw: st.DrawFn) -> Filter:
    column, negated = draw(st.sampled_from(list(KINDS))), draw(st.booleans())
    values = draw(st.lists(literals(column), min_size=1, max_size=3))

    def holds(row: Row) -> bool | None:
        return None if row.get(column) is None else (row[column] in values) != negated

    return Filter(f'"{column}" {"not " * negated}IN ({", ".join(map(written, values))})', holds)


@st.composite
def missing(draw: st.DrawFn) -> Filter:
    column, negated = draw(st.sampled_from(list(KINDS))), draw(st.booleans())
    return Filter(f"{column} is {'not ' * negated}null", lambda row: (row.get(column) is None) != negated)


def negation(one: Filter) -> Filter:
    def holds(row: Row) -> bool | None:
        value = one.holds(row)
        return None if value is None else not value

    return Filter(f"not ({one.text})", holds)


def joined(word: str, *, absorbing: bool) -> Callable[[list[Filter]], Filter]:
    def join(parts: list[Filter]) -> Filter:
        def holds(row: Row) -> bool | None:
            values = [part.holds(row) for part in parts]
            return absorbing if absorbing in values else None if None in values else not absorbing

        return Filter("(" + f" {word} ".join(part.text for part in parts) + ")", holds)

    return join


def grown(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(inner, min_size=2, max_size=3)
    return inner.map(negation) | several.map(joined("and", absorbing=False)) | several.map(joined("OR", absorbing=True))


filters = st.recursive(comparisons() | memberships() | missing(), grown, max_leaves=5)


# Any sequence of changes

names = st.sampled_from([f"{number}.png" for number in range(12)] + ["ä b'c\".png", "%s;--", "\\x"])
vectors = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any)
metadata = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in VALUES.items()})
added = st.lists(st.tuples(names, vectors, metadata), min_size=1, max_size=15)


class AnyHistory(RuleBasedStateMachine):
    """An index and a dictionary, changed in the same ways."""

    make: MakeIndex

    @initialize()
    def begin(self) -> None:
        self.index = type(self).make()
        self.rows: dict[str, tuple[list[int], Row]] = {}
        self.add([("first", [1, 0, 0], {})])  # makes the columns
        self.delete(["first"])

    @rule(rows=added)
    def add(self, rows: list[tuple[str, list[int], Row]]) -> None:
        columns = {
            name: pa.array([row.get(name) for _, _, row in rows], KIND_TYPES[kind]) for name, kind in KINDS.items()
        }
        self.index.add([name for name, _, _ in rows], [x for _, x, _ in rows], columns, fingerprint=FINGERPRINT)
        self.rows.update({name: (vector, row) for name, vector, row in rows})

    @rule(gone=st.lists(names, max_size=5))
    def delete(self, gone: list[str]) -> None:
        there = set(gone) & set(self.rows)

        assert self.index.delete(gone) == len(there)

        for name in there:
            del self.rows[name]

    @rule()
    def compact(self) -> None:
        self.index.compact()

    @rule(query=vectors, k=st.integers(1, 8), where=st.none() | filters, exact=st.booleans())
    def search(self, query: list[int], k: int, where: Filter | None, exact: bool) -> None:
        wanted = {
            name: np.dot(vector, query) / np.linalg.norm(vector) / np.linalg.norm(query)
            for name, (vector, row) in self.rows.items()
            if where is None or where.holds(row)
        }

        text = None if where is None else where.text
        (found,) = self.index.search([query], k, where=text, exact=exact, fingerprint=FINGERPRINT)

        assert len(found) == min(k, len(wanted)), text
        best = sorted(wanted.values(), reverse=True)[:k]
        assert np.allclose([one.score for one in found], best, atol=1e-5), text
        assert len({one.id for one in found}) == len(found)
        for one in found:
            assert wanted[one.id] == pytest.approx(one.score, abs=1e-5)
            row = self.rows[one.id][1]
            assert {name: value for name, value in one.metadata.items() if value is not None} == {
                name: value for name, value in row.items() if value is not None
            }

    @invariant()
    def it_counts_its_rows(self) -> None:
        if hasattr(self, "index"):
            assert self.index.info().rows == len(self.rows)

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()


KIND_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def test_any_history_of_changes_is_searched_as_a_dictionary_would_be(make_index: MakeIndex) -> None:
    class History(AnyHistory):
        make = staticmethod(make_index)

    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# Single behaviours


@pytest.fixture
def index(make_index: MakeIndex) -> Index:
    return make_index()


def add(index: Index, ids: list[str], vectors: Any = None, **columns: Any) -> None:
    chosen = np.eye(3)[np.arange(len(ids)) % 3] if vectors is None else vectors
    index.add(ids, chosen, columns or None, fingerprint=FINGERPRINT)


def ids(index: Index, query: Any = (1, 1, 1), k: int = 10, **options: Any) -> list[str]:
    return sorted(one.id for one in index.search([query], k, fingerprint=FINGERPRINT, **options)[0])


def test_a_new_index_is_empty_and_finds_nothing(index: Index) -> None:
    assert index.search([[1, 0, 0], [0, 1, 0]], fingerprint=FINGERPRINT) == [[], []]
    assert index.info().rows == 0
    assert index.delete(["a"]) == 0


def test_adding_no_rows_changes_nothing(index: Index) -> None:
    index.add([], np.empty((0, 3)), fingerprint=FINGERPRINT)

    assert index.info().rows == 0


def test_of_an_id_that_comes_twice_the_last_row_counts(index: Index) -> None:
    add(index, ["a", "b", "a"], label=["old", "b", "new"])

    (found,) = index.search([[0, 0, 1]], 3, fingerprint=FINGERPRINT)

    assert [(one.id, one.metadata["label"]) for one in found] == [("a", "new"), ("b", "b")]


def test_a_row_that_is_added_again_is_replaced_with_all_its_metadata(index: Index) -> None:
    add(index, ["a"], label=["cat"], share=[0.5])
    add(index, ["a"], label=["dog"])

    ((one,),) = index.search([[1, 0, 0]], fingerprint=FINGERPRINT)

    assert one.metadata == {"label": "dog", "share": None}


def test_a_new_column_has_no_value_in_older_rows(index: Index) -> None:
    add(index, ["a"], label=["cat"])
    add(index, ["b"], share=[0.5])

    assert ids(index, where="share is null") == ["a"]
    assert ids(index, where="share > .1 or label = 'cat'") == ["a", "b"]


def test_vectors_are_compared_by_direction_whatever_their_length(index: Index) -> None:
    add(index, ["a", "b"], np.array([[1e-30, 0, 0], [1e30, 1e30, 0]], np.float32))

    (found,) = index.search([[5, 0, 0]], fingerprint=FINGERPRINT)

    assert [(one.id, round(one.score, 5)) for one in found] == [("a", 1.0), ("b", 0.70711)]


def test_missing_values_come_as_none_nan_or_null(index: Index) -> None:
    add(index, ["a", "b"], share=[float("nan"), 1.0], label=pa.array([None, "x"]), count=[None, 3])

    assert ids(index, where="share is null and label is null and count is null") == ["a"]


@pytest.mark.parametrize(
    "values",
    [np.array(["cat", "dog"]), pa.chunked_array([["cat"], ["dog"]]), pa.array(["cat", "dog"]).dictionary_encode()],
)
def test_metadata_is_taken_from_numpy_and_arrow_alike(index: Index, values: Any) -> None:
    add(index, ["a", "b"], label=values)

    assert ids(index, where="label = 'dog'") == ["b"]


def test_an_arrow_table_of_metadata_is_taken_as_it_is(index: Index) -> None:
    table = pa.table({"label": ["cat", "dog"], "share": pa.array([0.5, 0.25], pa.float32())})

    index.add(["a", "b"], np.eye(3)[:2], table, fingerprint=FINGERPRINT)

    assert ids(index, where="share = .25") == ["b"]


def test_vectors_of_another_model_are_rejected_and_both_models_named(index: Index) -> None:
    with pytest.raises(SearchError, match=f"(?s)0a0a.*{FINGERPRINT}.*best.ckpt"):
        index.add(["a"], [[1, 0, 0]], fingerprint="0a" * 32)

    assert index.info().rows == 0


def test_queries_of_another_model_are_rejected_and_both_models_named(index: Index) -> None:
    with pytest.raises(SearchError, match=f"(?s)queries.*0a0a.*{FINGERPRINT}.*best.ckpt"):
        index.search([[1, 0, 0]], fingerprint="0a" * 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a"]}, "one vector for each of the 1 ids"),
        ({"ids": ["a", ""]}, "at least one character"),
        ({"ids": ["a", None]}, "at least one character"),
        ({"ids": [1, 2]}, "as texts"),
        ({"ids": "ab"}, "sequence"),
        ({"ids": ["a", "b\0"]}, "NUL"),
        ({"ids": ["a", "\ud800"]}, "'ids'"),
        ({"ids": ["a", "x" * 1025]}, "1,024 bytes"),
        ({"vectors": np.eye(4)[:2]}, r"\(N, 3\)"),
        ({"vectors": [1, 2, 3]}, r"\(N, 3\)"),
        ({"vectors": [[1, 0, 0], [0, 0, 0]]}, "row 1 has only zeros"),
        ({"vectors": [[1, 0, 0], [np.nan, 0, 0]]}, "row 1 has NaN"),
        ({"vectors": [[np.inf, 0, 0], [1, 0, 0]]}, "row 0 has NaN or infinity"),
        ({"vectors": [["a", "b", "c"]] * 2}, "array of numbers"),
        ({"metadata": {"label": ["x"]}}, "2 values of 'label'"),
        ({"metadata": {"label": "xy"}}, "sequence"),
        ({"metadata": {"label": ["x", 3]}}, "'label'"),
        ({"metadata": {"label": ["x\0", "y"]}}, "NUL"),
        ({"metadata": {"label": ["\udcff", "y"]}}, "'label'"),
        ({"metadata": {"label": [[1], [2]]}}, "type list"),
        ({"metadata": {"day": np.array(["2026-01-01", "2026-01-02"], "datetime64[D]")}}, "ISO"),
        ({"metadata": {"count": [2**63, 0]}}, "'?count'?"),
        ({"metadata": {"id": ["x", "y"]}}, "another name than 'id'"),
        ({"metadata": {"CTID": ["x", "y"]}}, "another name than 'CTID'"),
        ({"metadata": {"": ["x", "y"]}}, "1 to 63 bytes"),
        ({"metadata": {"ä" * 32: ["x", "y"]}}, "1 to 63 bytes"),
        ({"metadata": {f"c{number}": [1, 2] for number in range(201)}}, "at most 200 columns"),
    ],
)
def test_rows_that_do_not_fit_are_rejected_and_change_nothing(index: Index, change: Row, message: str) -> None:
    given = {"ids": ["a", "b"], "vectors": np.eye(3)[:2], "metadata": None, "fingerprint": FINGERPRINT, **change}

    with pytest.raises(SearchError, match=message):
        index.add(**given)

    assert index.info().rows == 0
    assert index.settings().columns == {}


def test_a_column_keeps_its_kind(index: Index) -> None:
    add(index, ["a"], label=["cat"], share=[0.5])

    with pytest.raises(SearchError, match="kind text in column 'label', as before, got the kind integer"):
        add(index, ["b"], label=[3])
    add(index, ["b"], share=[2])  # whole numbers are numbers

    assert ids(index, where="share = 2") == ["b"]


@pytest.mark.parametrize("k", [0, -1, 10_001, 1.5, True, "3"])
def test_k_is_a_whole_number_in_range(index: Index, k: Any) -> None:
    with pytest.raises(SearchError, match="Expected k as a whole number from 1 to 10,000"):
        index.search([[1, 0, 0]], k, fingerprint=FINGERPRINT)


@pytest.mark.parametrize("queries", [[1, 0, 0], [[1, 0]], [[0, 0, 0]], [[np.nan, 0, 0]], "abc"])
def test_queries_that_do_not_fit_are_rejected(index: Index, queries: Any) -> None:
    with pytest.raises(SearchError, match="Expected queries"):
        index.search(queries, fingerprint=FINGERPRINT)


@pytest.mark.parametrize(
    "where",
    [
        "label = 'x'; DROP TABLE t",
        "label = 'a' --",
        "1 = 1",
        "label = label",
        "lower(label) = 'a'",
        "label || 'a' = 'b'",
    ],
)
def test_filters_of_sql_are_not_in_the_language(index: Index, where: str) -> None:
    add(index, ["a"], label=["x"])

    with pytest.raises(SearchError, match="Expected"):
        ids(index, where=where)

    assert index.info().rows == 1


@given(text=st.text(max_size=20))
@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
def test_any_text_is_a_value_and_never_sql(shared: Index, text: str) -> None:
    where = f"label = {written(text)}"

    if "\0" in text:
        with pytest.raises(SearchError):
            ids(shared, where=where)
    else:
        assert ids(shared, where=where) == (["a"] if text == "cat" else [])


@pytest.fixture
def shared(index: Index) -> Index:
    add(index, ["a"], label=["cat"])
    return index


@pytest.mark.parametrize(
    "name", ['a"b', "x; DROP TABLE y", "%s", "{}", "ä", "select", "a b", "N", "%(a)s", "embeddings"]
)
def test_any_name_can_be_a_column(index: Index, name: str) -> None:
    index.add(["a", "b"], np.eye(3)[:2], {name: [1, 2]}, fingerprint=FINGERPRINT)

    quoted = '"' + name.replace('"', '""') + '"'
    (found,) = index.search([[1, 1, 1]], where=f"{quoted} > 1", fingerprint=FINGERPRINT)

    assert [(one.id, one.metadata) for one in found] == [("b", {name: 2})]


def test_large_results_and_many_queries_come_whole(index: Index) -> None:
    rng = np.random.default_rng(0)
    rows, queries = rng.standard_normal((300, 3)), rng.standard_normal((40, 3))
    add(index, [f"{number}" for number in range(300)], rows, count=np.arange(300))

    found = index.search(queries, 250, fingerprint=FINGERPRINT, exact=True)

    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ units.T
    assert [len(one) for one in found] == [250] * 40
    assert np.allclose([[one.score for one in some] for some in found], -np.sort(-scores, axis=1)[:, :250], atol=1e-5)
    assert all(one.id == str(one.metadata["count"]) for some in found for one in some)


RATE = Rate(share=0.01, low=0.005, high=0.02, pairs=1000, over="images")


def test_a_threshold_is_kept_and_marks_what_lies_beyond_it(index: Index) -> None:
    add(index, ["a", "b"])
    calibration = Calibration(threshold=0.5, requested=0.01, known=RATE)

    before = index.search([[1, 0.1, 0]], fingerprint=FINGERPRINT)
    index.set_calibration(calibration)
    after = index.search([[1, 0.1, 0]], fingerprint=FINGERPRINT)

    assert [one.matches for one in before[0]] == [None, None]
    assert [(one.id, one.matches) for one in after[0]] == [("a", True), ("b", False)]
    assert index.info().settings.calibration == calibration


def test_threads_search_while_another_adds(index: Index) -> None:
    add(index, ["first"])
    whole = index.info().back_end == "embedded" or index.info().parts == 1  # over shards, each by itself
    failures: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(30):
                found = ids(index, k=100)
                assert "first" in found
                assert len(found) % 2 == 1 or not whole  # always one pair more
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(10):
        add(index, [f"{number}a", f"{number}b"])
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(ids(index, k=100)) == 21


def test_filters_cost_no_rows_where_fewer_than_k_satisfy_them(index: Index) -> None:
    rng = np.random.default_rng(1)
    add(index, [f"{number}" for number in range(500)], rng.standard_normal((500, 3)), count=np.arange(500) % 100)
    index.compact()

    found = ids(index, k=10, where="count = 7")

    assert found == sorted(str(number) for number in range(7, 500, 100))


def test_the_state_is_described(index: Index) -> None:
    add(index, ["a", "b"], label=["x", "y"])
    index.delete(["a"])

    info = index.info()

    assert (info.rows, info.settings.dimension, info.settings.fingerprint) == (1, 3, FINGERPRINT)
    assert info.settings.columns == {"label": "text"}
    assert info.settings.model == "best.ckpt"
    assert info.size > 0
    assert re.search(r"index|triptych|postgres", info.location)


def test_no_queries_have_no_results(index: Index) -> None:
    add(index, ["a"])

    assert index.search(np.empty((0, 3)), fingerprint=FINGERPRINT) == []
