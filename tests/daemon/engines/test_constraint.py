"""An argument list that is read to its closing bracket is Python, and one the signature takes."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from octod.core.symbols import Parameter
from octod.daemon.engines.constraint import ArgumentList, Rules
from octod.daemon.engines.generate import Vocabulary, generate
from octod.daemon.engines.protocol import CallConstraint, constraint_for

GET = constraint_for(
    (
        Parameter("url"),
        Parameter("params", default="None"),
        Parameter("timeout", "keyword", default="5"),
        Parameter("retries", "keyword", default="0"),
    ),
    names=("url", "client", "np", "df"),
)


def finished(text: str, constraint: CallConstraint = GET) -> bool:
    """Whether the whole text is read and its last character closes the call."""
    found = ArgumentList(Rules(constraint)).after(text)
    return found is not None and found[0].done and found[1] == len(text)


def viable(text: str, constraint: CallConstraint = GET) -> bool:
    """Whether an argument list may begin like this."""
    return ArgumentList(Rules(constraint)).after(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "url)",
        "url, timeout=3)",
        "url, None, timeout=1.5, retries=0x1F)",
        "url=client.base[0].url)",
        'url="a b", params={"k": [1, 2], **np.defaults})',
        "df[df.x > 3])",
        "df[1:, :-1])",
        "df['a'], params=not url)",
        "url if url is not None else client.get(x=1))",
        "client.find(key=lambda a, b: a.x + b))",
        'f"{url}/path", params=r"\\d")',
        "*df)",
        "**df)",
        "url, **df)",
        "\n    url,\n    timeout=3,\n)",
        "(url, 1), params=())",
        "-1 if url == 2 or url not in df else +np.inf)",
        "np.zeros((2, 3))[0], params=...)",
        "url=len(df))",
        "{1, 2}, {})",
        "url<=2, params=url>>1**2)",
        "b'x')",
    ],
)
def test_lists_that_python_and_the_signature_take_are_finished(text: str) -> None:
    """What a person would write for this signature is let through to the end."""
    ast.parse(f"f({text}")
    assert finished(text)


@pytest.mark.parametrize(
    "text",
    [
        ")",  # url is required
        "timeout=3)",
        "ulr",  # no such name or keyword
        "url, unknown",
        "url, timeout=1, timeout=",  # twice
        "url, url=1",  # already given by position
        "url, None, 3",  # too many
        "timeout=1, url)",  # positional after keyword
        "url, )",
        "url]",
        "url, params=[1)",
        'url, params="a\n',
        "x",
        "url url",
        "url.)",
        "url..x",
        "url.if)",
        "1.real)",
        "1 2",
        "url, params={1: 2, 3}",
        "url, params={1, 2: 3",
        "url, params=1 if url)",
        "url, (*df)",
        "url,, ",
        "lambda: zzz",
        "url := 1",
        "url # note",
        '"\\d"',
        "url, params=[i for",
        "***df",
        '**"a"',
        "**len)",
        "url, *\n",
        "url,\n\n",
        "()()",
        "url, timeout=)",
        "url, params=df[])",
        '"a""b"',
        'f"{missing}"',
        "client.find(a=1, a=2",
        "client.find(a=1, url)",
    ],
)
def test_lists_that_do_not_fit_are_stopped(text: str) -> None:
    """A text that is no argument list of this signature is refused before its end."""
    assert not viable(text)


def test_any_keyword_admits_new_names_once() -> None:
    """A callee with **kwargs takes any keyword, but each only once."""
    open_ended = constraint_for((Parameter("kw", "kwarg"),), names=("a",))
    assert finished("color=a, size=2)", open_ended)
    assert not viable("color=a, color=", open_ended)
    assert not finished("color)", open_ended)


def test_what_is_given_before_the_cursor_counts() -> None:
    """Arguments before the cursor take their places, and a half typed one goes on."""
    constraint = constraint_for(
        (Parameter("a"), Parameter("b"), Parameter("c", default="1")),
        names=("x",),
        given_positional=1,
        typed="b=",
    )
    typed = ArgumentList(Rules(constraint)).after(constraint.typed)
    assert typed is not None
    assert typed[0].after("x)") is not None
    rest = Rules(constraint_for((Parameter("a"), Parameter("b")), names=("x",), given_positional=1))
    assert ArgumentList(rest).after(" x)") is not None
    assert ArgumentList(rest).after("a=") is None
    assert ArgumentList(rest).after("x, x") is None


def test_positional_only_parameters_are_required_but_no_keywords() -> None:
    """A positional-only parameter must come by position."""
    constraint = constraint_for((Parameter("x", "positional"), Parameter("y", "keyword")), names=("v",))
    assert finished("v, y=1)", constraint)
    assert not viable("x=", constraint)
    assert not viable("y=1)", constraint)


def test_lines_are_bounded() -> None:
    """More line breaks than allowed are refused."""
    assert not viable("\n\n\n\n")


PIECES = (
    *"()[]{}.,:='\"+-*/<>!@%&|^~ \n0123456789abcdefxyz_\\#é",
    *(
        "url",
        "df",
        "np",
        " if",
        " else",
        " not",
        " in",
        " and",
        " is",
        "lambda",
        "timeout",
        "params",
        "==",
        "**",
        ", ",
    ),
    *(
        "None",
        "len",
        ")\n",
        "))",
        "f'",
        "x.y",
        "=1",
        "retries=",
        " lambda x:",
        "1e",
        "0x",
        "...",
        "key",
        "unknown",
    ),
)


def check_finished(text: str, constraint: CallConstraint) -> None:
    """A finished list parses and obeys the signature."""
    tree = ast.parse(f"f({text}", mode="eval").body
    assert isinstance(tree, ast.Call)
    keywords = [k.arg for k in tree.keywords if k.arg is not None]
    assert len(set(keywords)) == len(keywords)
    assert set(keywords) <= set(constraint.keywords)
    plain = [a for a in tree.args if not isinstance(a, ast.Starred)]
    assert constraint.positional < 0 or len(plain) <= constraint.positional
    assert not set(constraint.positional_names[: len(plain)]) & set(keywords)
    if len(plain) == len(tree.args) and len(keywords) == len(tree.keywords):
        assert set(constraint.required) <= set(constraint.positional_names[: len(plain)]) | set(keywords)
    compile(f"f({text}", "<list>", "eval")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_random_logits_finish_only_with_valid_lists(seed: int) -> None:
    """Whatever the model prefers, a finished list is Python and obeys the signature."""
    import numpy as np

    source = np.random.default_rng(seed)
    closing = [n for n, p in enumerate(PIECES) if p[0] in ")]}'\""]

    def logits(made: list[int]) -> np.ndarray:
        drawn = source.normal(0.0, 2.0, len(PIECES)).astype(np.float32)
        drawn[closing] += 0.15 * len(made)
        return drawn

    found = generate(logits, Vocabulary(PIECES), GET, lambda: True, top=len(PIECES), unlikely=0.0)
    assert found.tokens <= 48
    if found.finished:
        check_finished(found.text, GET)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_random_text_is_finished_only_when_valid(pieces: list[str]) -> None:
    """Random text that the reading lets through to its end is valid."""
    reading = ArgumentList(Rules(GET))
    text = ""
    for piece in pieces:
        found = reading.after(piece)
        if found is None:
            continue
        reading, used = found
        text += piece[:used]
        if reading.done:
            check_finished(text, GET)
            return


def test_random_generation_does_finish() -> None:
    """The property above is not empty: a good part of random generations reaches the closing bracket."""
    import numpy as np

    done = 0
    for seed in range(40):
        source = np.random.default_rng(seed)
        bias = np.array([3.0 if p in (")", "]", "}", '"', "'") else 0.0 for p in PIECES], np.float32)
        found = generate(
            lambda made, source=source, bias=bias: source.normal(0, 1, len(PIECES)).astype(np.float32) + bias,
            Vocabulary(PIECES),
            GET,
            lambda: True,
            top=len(PIECES),
            unlikely=0.0,
        )
        done += found.finished
    assert done >= 20
