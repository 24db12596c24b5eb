"""What widely used libraries do that their annotations do not say.  Every entry names why it is needed."""

from __future__ import annotations

import ast
from collections.abc import Callable

__all__ = ["ABSTRACT", "ACCESSORS", "CALLBACKS", "DELEGATES", "FIXTURES", "ITEMS", "MISSING", "MODULES", "OBJECTS", "RESULTS", "SAME", "SAME_PART", "STAND_FOR", "VALUES"]

_FRAME = "pandas.core.frame.DataFrame"
_SERIES = "pandas.core.series.Series"
_ARRAY = "numpy.ndarray"
_AXES = "matplotlib.axes._axes.Axes"

# What stands in for a base that is no class (typeshed has them as special forms).
STAND_FOR = {
    "typing.TypedDict": "builtins.dict", "typing_extensions.TypedDict": "builtins.dict",
    "collections.namedtuple": "typing.NamedTuple",
}  # fmt: skip

# Classes that libraries import from a ``compat`` module of their own, whose imports the index does not keep.
ABSTRACT = {
    n: f"typing.{n}"
    for n in ("Mapping", "MutableMapping", "Sequence", "MutableSequence", "MutableSet", "Iterable", "Iterator", "Collection")
}

# What a class hands on of another class or (without names) of a whole module: (that, names, what comes back).  pandas
# does it with a decorator (delegate_names, pandas/core/accessor.py), flask_sqlalchemy in SQLAlchemy.__getattr__.
_PANDAS_SERIES = "pandas.Series"
_ROUNDED = ("round", "floor", "ceil", "as_unit", "unit")
DELEGATES: dict[str, tuple[tuple[str, tuple[str, ...], str], ...]] = {
    "pandas.core.indexes.accessors.DatetimeProperties": (
        ("pandas.core.arrays.datetimes.DatetimeArray", (
            "year", "month", "day", "hour", "minute", "second", "microsecond", "nanosecond", "weekday", "dayofweek",
            "day_of_week", "dayofyear", "day_of_year", "quarter", "days_in_month", "daysinmonth", "date", "time", "timetz",
            "is_month_start", "is_month_end", "is_quarter_start", "is_quarter_end", "is_year_start", "is_year_end",
            "is_leap_year", "tz", "to_period", "tz_localize", "tz_convert", "normalize", "strftime", "month_name",
            "day_name", *_ROUNDED,
        ), _PANDAS_SERIES),
    ),
    "pandas.core.indexes.accessors.TimedeltaProperties": (
        ("pandas.core.arrays.timedeltas.TimedeltaArray", (
            "days", "seconds", "microseconds", "nanoseconds", "total_seconds", *_ROUNDED), _PANDAS_SERIES),
    ),
    "pandas.core.indexes.accessors.PeriodProperties": (
        ("pandas.core.arrays.period.PeriodArray", ("start_time", "end_time", "qyear", "to_timestamp", "asfreq"), _PANDAS_SERIES),
    ),
    "pandas.core.arrays.categorical.CategoricalAccessor": (
        ("pandas.core.arrays.categorical.Categorical", (
            "categories", "ordered", "rename_categories", "reorder_categories", "add_categories", "remove_categories",
            "remove_unused_categories", "set_categories", "as_ordered", "as_unordered",
        ), _PANDAS_SERIES),
    ),
    "flask_sqlalchemy.extension.SQLAlchemy": (("sqlalchemy", (), ""), ("sqlalchemy.orm", (), "")),
}  # fmt: skip

# pandas hands these out through a descriptor that takes the class as an argument (pandas/core/accessor.py).
ACCESSORS: dict[str, str] = {
    f"{_FRAME}.plot": "pandas.plotting._core.PlotAccessor",
    f"{_SERIES}.values": _ARRAY,
    f"{_SERIES}.plot": "pandas.plotting._core.PlotAccessor",
    f"{_SERIES}.str": "pandas.core.strings.accessor.StringMethods",
    f"{_SERIES}.dt": "pandas.core.indexes.accessors.CombinedDatetimelikeProperties",
    f"{_SERIES}.cat": "pandas.core.arrays.categorical.CategoricalAccessor",
    f"{_SERIES}.sparse": "pandas.core.arrays.sparse.accessor.SparseAccessor",
    "pandas.core.base.IndexOpsMixin.str": "pandas.core.strings.accessor.StringMethods",
    "pandas.core.indexes.base.Index.str": "pandas.core.strings.accessor.StringMethods",
    f"{_FRAME}.sparse": "pandas.core.arrays.sparse.accessor.SparseFrameAccessor",
    # typeshed writes it with a decorator of its own
    "enum.Enum.name": "builtins.str",
    # set from the result of a method, or from an argument whose class only the caller knows
    "matplotlib.artist.Artist.axes": _AXES,
    "flask.sansio.app.App.config": "flask.config.Config",
    "sklearn.model_selection._search.BaseSearchCV.best_estimator_": "sklearn.base.BaseEstimator",
    # made by the class that another attribute names (flask and werkzeug 1, which have no annotations)
    "flask.app.Flask.config": "flask.config.Config",
    "flask.app.Flask.url_map": "werkzeug.routing.Map",
    **{
        f"werkzeug.wrappers.base_request.BaseRequest.{name}": f"werkzeug.datastructures.{made}"
        for name, made in (
            ("args", "ImmutableMultiDict"), ("form", "ImmutableMultiDict"), ("files", "ImmutableMultiDict"),
            ("cookies", "ImmutableMultiDict"), ("values", "CombinedMultiDict"), ("headers", "EnvironHeaders"),
        )
    },
}

# Names of modules whose value is made in a way that says nothing of its type: what they are, as an annotation.
VALUES: dict[str, str] = {
    # proxies, annotated since flask 2
    "flask.globals.request": "flask.wrappers.Request",
    "flask.globals.session": "flask.sessions.SessionMixin",
    "flask.globals.current_app": "flask.app.Flask",
    "flask.globals.g": "flask.ctx._AppCtxGlobals",
    # public_factory(Select._create, ...) of SQLAlchemy 1
    **{
        f"sqlalchemy.sql.expression.{name}": f"type[sqlalchemy.sql.{made}]"
        for name, made in (
            ("select", "selectable.Select"), ("table", "selectable.TableClause"), ("column", "elements.ColumnClause"),
            ("text", "elements.TextClause"), ("literal_column", "elements.ColumnClause"), ("label", "elements.Label"),
            ("case", "elements.Case"), ("cast", "elements.Cast"), ("exists", "selectable.Exists"), ("values", "selectable.Values"),
            ("and_", "elements.BooleanClauseList"), ("or_", "elements.BooleanClauseList"), ("join", "selectable.Join"),
            ("outerjoin", "selectable.Join"), ("union", "selectable.CompoundSelect"), ("union_all", "selectable.CompoundSelect"),
            ("insert", "dml.Insert"), ("update", "dml.Update"), ("delete", "dml.Delete"), ("bindparam", "elements.BindParameter"),
        )
    },
}  # fmt: skip

# Results that are declared as Any or not at all; each is the type in nearly all calls.  ``[X]`` marks an array of X.
RESULTS: dict[str, tuple[str, ...]] = {
    "pandas.plotting._core.PlotAccessor.__call__": (_AXES,),
    "pandas.core.frame.DataFrame.boxplot": (_AXES,),
    "sklearn.model_selection._validation.cross_val_score": (_ARRAY,),
    "sklearn.model_selection._validation.cross_val_predict": (_ARRAY,),
    "sklearn.utils.validation.check_random_state": ("numpy.random.mtrand.RandomState",),
    "matplotlib.pyplot.subplots": ("matplotlib.figure.Figure", f"[{_AXES}]"),
    "matplotlib.figure.FigureBase.subplots": (f"[{_AXES}]",),
    "sqlalchemy.engine.create.create_engine": ("sqlalchemy.engine.base.Engine",),  # 1.4 has no annotations
    "flask.app.Flask.test_client": ("flask.testing.FlaskClient",),  # likewise 1.1
}

# Functions that give back what they were given (a copy of it), without saying so.
SAME = frozenset({"sklearn.base.clone", "copy.copy", "copy.deepcopy"})

# Functions that import the module whose name is their first argument.
MODULES = frozenset({"importlib.import_module", "_pytest.outcomes.importorskip", "pytest.importorskip"})

# What pytest hands to a test by the name of its parameter (documented; its plugins return these classes).
FIXTURES: dict[str, str] = {
    "tmp_path": "pathlib.Path",
    "tmp_path_factory": "_pytest.tmpdir.TempPathFactory",
    "tmpdir": "_pytest._py.path.LocalPath",
    "monkeypatch": "_pytest.monkeypatch.MonkeyPatch",
    "capsys": "_pytest.capture.CaptureFixture",
    "capfd": "_pytest.capture.CaptureFixture",
    "caplog": "_pytest.logging.LogCaptureFixture",
    "recwarn": "_pytest.recwarn.WarningsRecorder",
    "request": "_pytest.fixtures.FixtureRequest",
    "pytestconfig": "_pytest.config.Config",
    "pytester": "_pytest.pytester.Pytester",
    "mocker": "pytest_mock.plugin.MockerFixture",
    "cache": "_pytest.cacheprovider.Cache",
}

# What these pass to a function that they are given, by its first parameter (documented; their annotations say Callable alone).
CALLBACKS: dict[str, str] = {
    f"{_FRAME}.apply": _SERIES,
    f"{_FRAME}.assign": _FRAME,
    f"{_FRAME}.agg": _SERIES,
    f"{_FRAME}.aggregate": _SERIES,
    f"{_FRAME}.transform": _SERIES,
    "pandas.core.generic.NDFrame.pipe": "Self",
    "pandas.core.groupby.generic.DataFrameGroupBy.apply": _FRAME,
    "pandas.core.groupby.groupby.GroupBy.apply": _FRAME,
    "pandas.core.groupby.generic.SeriesGroupBy.apply": _SERIES,
    "pandas.core.groupby.generic.SeriesGroupBy.agg": _SERIES,
    "pandas.core.groupby.generic.SeriesGroupBy.transform": _SERIES,
    "pandas.core.groupby.generic.DataFrameGroupBy.transform": _SERIES,
}

# Arrays are declared by their dtype; one of objects is marked by the class of these as its only argument.
OBJECTS = _ARRAY
# What keeps such an array one of the same objects.
SAME_PART = frozenset({"flat", "ravel", "flatten", "T", "reshape", "transpose", "tolist", "squeeze"})


def _column(index: ast.expr) -> tuple[str, ...]:
    """``frame["a"]`` is a column; a list, slice or condition gives a frame again; a name may be either."""
    if isinstance(index, (ast.List, ast.Slice, ast.Compare, ast.BinOp, ast.UnaryOp, ast.ListComp)):
        return (_FRAME,)
    if isinstance(index, (ast.Constant, ast.Tuple, ast.JoinedStr)):
        return (_SERIES,)
    return (_SERIES, _FRAME)


def _located(index: ast.expr) -> tuple[str, ...]:
    """``frame.loc[...]``: a row or column, or a part of the frame."""
    return (_FRAME, _SERIES)


def _part(index: ast.expr) -> tuple[str, ...]:
    """A slice or condition of a series is one; a single item is of any type."""
    if isinstance(index, (ast.Slice, ast.Compare, ast.List, ast.UnaryOp, ast.BinOp)):
        return ("Self",)
    return ()


def _array_part(index: ast.expr) -> tuple[str, ...]:
    """A part of an array is an array nearly always; single numbers answer to much the same members."""
    return (_ARRAY,)


# ``__getitem__`` of these is not annotated, or by overloads on the dtype that need real evaluation.
ITEMS: dict[str, Callable[[ast.expr], tuple[str, ...]]] = {
    _FRAME: _column,
    _SERIES: _part,
    _ARRAY: _array_part,
    "pandas.core.indexing._LocIndexer": _located,
    "pandas.core.indexing._iLocIndexer": _located,
    "pandas.core.groupby.generic.DataFrameGroupBy": lambda index: (
        ("pandas.core.groupby.generic.SeriesGroupBy",)
        if isinstance(index, ast.Constant)
        else ("pandas.core.groupby.generic.DataFrameGroupBy",)
    ),
}

# Any name that the class does not define is a column (pandas/core/generic.py, NDFrame.__getattr__).
MISSING: dict[str, tuple[str, ...]] = {_FRAME: (_SERIES,)}
