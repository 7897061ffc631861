"""Conditions for the two engines: an expression of pyarrow, or SQL whose values are all parameters."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from triptych.search.conditions import Both, Comparison, Condition, Either, Kind, Membership, Missing, Operator

if TYPE_CHECKING:
    from psycopg.sql import Composed, Identifier
    from pyarrow import DataType
    from pyarrow.compute import Expression


def arrow_types() -> dict[Kind, "DataType"]:
    """Return how each kind of column is stored in Arrow."""
    import pyarrow as pa

    return {"text": pa.large_string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def arrow_expression(condition: Condition, columns: Mapping[str, Kind]) -> "Expression":
    """Compile a condition for `pyarrow.Table.filter` over a table that has all of `columns`, and `id`."""
    import operator

    import pyarrow as pa
    import pyarrow.compute as pc

    types, kinds = arrow_types(), {**columns, "id": "text"}
    compare: dict[Operator, Callable[[Any, Any], Any]] = {
        "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    }  # fmt: skip

    def compiled(part: Condition) -> Any:  # noqa: ANN401 - pyarrow has no types
        match part:
            case Comparison(column, symbol, value):
                return compare[symbol](pc.field(column), pa.scalar(value, types[kinds[column]]))
            case Membership(column, values, negated):
                present = pc.field(column).is_valid()
                if not values:
                    return present if negated else pc.scalar(False)
                found = pc.field(column).isin(pa.array(values, types[kinds[column]]))
                return present & (~found if negated else found)
            case Missing(column, negated):
                return pc.field(column).is_valid() if negated else pc.field(column).is_null()
            case Both(conditions):
                return _balanced([compiled(one) for one in conditions], operator.and_)
            case Either(conditions):
                return _balanced([compiled(one) for one in conditions], operator.or_)

    return compiled(condition)


def _balanced(terms: list[Any], join: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401
    """Join terms as a balanced tree: engines recurse into expressions."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return join(_balanced(terms[:half], join), _balanced(terms[half:], join))


def identifier(column: str) -> "Identifier":
    """Quote the name of a column in a statement that has parameters, where a percent sign is written twice."""
    from psycopg import sql

    return sql.Identifier(column.replace("%", "%%"))


SQL_TYPES: dict[Kind, str] = {
    "text": 'text COLLATE "C"',  # compared by code points, as Arrow does
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
}


def sql_condition(condition: Condition, columns: Mapping[str, Kind]) -> tuple["Composed", list[object]]:
    """Compile a condition to SQL with a placeholder for every value, and the values in their order."""
    from psycopg import sql

    kinds = {**columns, "id": "text"}
    values: list[object] = []

    def placeholder(column: str, value: object, brackets: str = "") -> "Composed":
        values.append(value)
        kind = SQL_TYPES[kinds[column]].split(" COLLATE")[0]
        return sql.SQL("%s::{}").format(sql.SQL(kind + brackets))

    def compiled(part: Condition) -> "Composed":
        match part:
            case Comparison(column, symbol, value):
                symbol_sql = sql.SQL(symbol.replace("!=", "<>"))
                right = placeholder(column, value)
                return sql.SQL("{} {} {}").format(identifier(column), symbol_sql, right)
            case Membership(column, members, negated):
                template = "{} <> ALL ({})" if negated else "{} = ANY ({})"
                present = sql.SQL("{} IS NOT NULL AND " + template)
                name = identifier(column)
                return sql.SQL("({})").format(present.format(name, name, placeholder(column, list(members), "[]")))
            case Missing(column, negated):
                return sql.SQL("{} IS NOT NULL" if negated else "{} IS NULL").format(identifier(column))
            case Both(conditions):
                return sql.SQL("({})").format(sql.SQL(" AND ").join(compiled(one) for one in conditions))
            case Either(conditions):
                return sql.SQL("({})").format(sql.SQL(" OR ").join(compiled(one) for one in conditions))

    return sql.Composed([compiled(condition)]), values
