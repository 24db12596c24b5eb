"""What widely used libraries do that their annotations do not say.  Every entry names why it is needed."""

from __future__ import annotations

import ast
from collections.abc import Callable

__all__ = ["ACCESSORS", "ITEMS", "MISSING", "OBJECTS", "RESULTS", "SAME", "SAME_PART"]

_FRAME = "pandas.core.frame.DataFrame"
_SERIES = "pandas.core.series.Series"
_ARRAY = "numpy.ndarray"
_AXES = "matplotlib.axes._axes.Axes"

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
    # set from the result of a method, or from an argument whose class only the caller knows
    "matplotlib.artist.Artist.axes": _AXES,
    "flask.sansio.app.App.config": "flask.config.Config",
    "sklearn.model_selection._search.BaseSearchCV.best_estimator_": "sklearn.base.BaseEstimator",
}

# Results that are declared as Any or not at all; each is the type in nearly all calls.  ``[X]`` marks an array of X.
RESULTS: dict[str, tuple[str, ...]] = {
    "pandas.plotting._core.PlotAccessor.__call__": (_AXES,),
    "pandas.core.frame.DataFrame.boxplot": (_AXES,),
    "sklearn.model_selection._validation.cross_val_score": (_ARRAY,),
    "sklearn.model_selection._validation.cross_val_predict": (_ARRAY,),
    "sklearn.utils.validation.check_random_state": ("numpy.random.mtrand.RandomState",),
    "matplotlib.pyplot.subplots": ("matplotlib.figure.Figure", f"[{_AXES}]"),
    "matplotlib.figure.FigureBase.subplots": (f"[{_AXES}]",),
}

# Functions that give back what they were given (a copy of it), without saying so.
SAME = frozenset({"sklearn.base.clone", "copy.copy", "copy.deepcopy"})

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
