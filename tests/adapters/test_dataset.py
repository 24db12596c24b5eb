"""Data sets: what a sample shows and completes, what is kept apart, what is left out, and the same again by seed."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import folds
import pytest
from octod.adapters.dataset import DataSet, Plan, Source, build, files_that_mention
from octod.adapters.samples import Sample, Tools
from octod.adapters.signatures import render_parameters, required_arguments
from octod.core.symbols import CallSite, Parameter

Plain = Plan(missing=0, wrong=0, suffix=0, arguments=1, held_files=0, held_functions=0, synthesised=0)


def made(paths: list[Path], plan: Plan | None = None, **more: object) -> DataSet:
    """The data set of folds from files."""
    source = Source("origami", tuple(paths), "MIT")
    return build(folds.Index(), folds.LIBRARY, ["folds"], [source], plan=plan, tools=folds.TOOLS, **more)  # type: ignore[arg-type]


def test_a_call_gives_its_member_and_its_arguments(tmp_path: Path) -> None:
    """The prompt ends after the dot or after the bracket; signatures are those the index shows there."""
    path = tmp_path / "a.py"
    path.write_text("import folds\nx = 1\nif x:\n    y = folds.fold(x, times=2)\nz = 3\n")
    member, arguments = sorted(
        made([path], replace(Plain, suffix=1)).train, key=lambda s: s.kind, reverse=True
    )
    assert ("member", "arguments") == (member.kind, arguments.kind)
    assert "import folds\nx = 1\nif x:\n" == member.prompt.before == arguments.prompt.before
    assert ("    y = folds.", "fold(x, times=2)") == (member.prompt.line, member.completion)
    assert ("    y = folds.fold(", "x, times=2)") == (arguments.prompt.line, arguments.completion)
    assert "\nz = 3\n" == member.prompt.after
    assert ("folds.fold(paper, times=1)",) == arguments.prompt.signatures
    assert "folds.fold(paper, times=1)" == member.prompt.signatures[0]
    assert 5 == len(member.prompt.signatures)
    assert ("origami", str(path), "folds.fold") == (member.source, member.file, member.qualified)


def test_arguments_over_several_lines_are_joined(tmp_path: Path) -> None:
    """Ghost text is one line; a list with comments teaches its member only."""
    path = tmp_path / "a.py"
    path.write_text("import folds\nfolds.fold(\n    1,\n    times=2,\n)\nfolds.crease(\n    1,  # why\n)\n")
    completions = [s.completion for s in made([path], Plain).train]
    assert ["1, times=2)", "crease(", "fold(1, times=2)"] == sorted(completions)


def test_contexts_are_missing_or_wrong_in_their_shares(tmp_path: Path) -> None:
    """A fifth sees nothing, a tenth siblings only, the rest the truth."""
    plan = replace(Plain, missing=0.2, wrong=0.1, per_function=10_000)
    data = made(folds.write_usage(tmp_path, 60), plan)
    called = [s for s in data.train if s.kind == "arguments"]

    def seen(sample: Sample) -> str:
        shown = sample.prompt.signatures
        return "none" if not shown else "right" if shown[0].startswith(sample.qualified + "(") else "wrong"

    shares = {k: n / len(called) for k, n in Counter(map(seen, called)).items()}
    assert {"none": 0.2, "wrong": 0.1, "right": 0.7} == pytest.approx(shares, abs=0.06)


def test_files_and_functions_are_kept_apart(tmp_path: Path) -> None:
    """No file of the evaluation and no held-out function is trained on, synthesised calls included."""
    plan = Plan(held_files=0.2, per_function=10_000)
    data = made(folds.write_usage(tmp_path, 30), plan)
    trained = {s.file for s in data.train}
    assert data.evaluation
    assert set() == trained & {s.file for s in data.evaluation}
    assert set() == {s.qualified for s in data.train} & {s.qualified for s in data.new_functions}
    assert {"folds.fold", "folds.crease"} <= {s.qualified for s in data.evaluation}
    assert ("Sheet", "VERSION", "crease", "cut", "fold", "measure", "unfold") == data.members["folds", False]


def test_evaluation_shows_the_context_that_serving_would(tmp_path: Path) -> None:
    """Never missing, never wrong, the most used first whatever the truth is."""
    data = made(folds.write_usage(tmp_path, 30), replace(Plain, held_files=0.3, missing=1.0))
    shown = {s.prompt.signatures for s in data.evaluation if s.kind == "member"}
    assert 1 == len(shown)
    called = [s for s in data.evaluation if s.kind == "arguments"]
    assert called and all(s.prompt.signatures[0].startswith(s.qualified + "(") for s in called)


def test_copied_lines_are_in_one_part_only(tmp_path: Path) -> None:
    """A file that was copied into another package measures nothing."""
    paths = folds.write_usage(tmp_path, 6)
    copies = [path.with_name(f"copy_{path.name}") for path in paths]
    for path, copy in zip(paths, copies, strict=True):
        copy.write_text(path.read_text())
    data = made(paths + copies, replace(Plain, held_files=0.5))
    assert 6 * 8 * 2 == len(data.train) + len(data.evaluation)


def test_same_seed_gives_the_same_samples_and_another_seed_others(tmp_path: Path) -> None:
    """Nothing depends on the order of files or on hash randomisation."""
    paths = folds.write_usage(tmp_path, 10)
    first = made(paths)
    assert first.train == made(paths[::-1]).train
    assert first.train != made(paths, Plan(seed=1)).train


def test_excluded_sources_are_not_read(tmp_path: Path) -> None:
    """Neither a folder nor a file."""
    paths = folds.write_usage(tmp_path / "kept", 4) + folds.write_usage(tmp_path / "measured", 4)
    data = made(paths, Plain, exclude=[tmp_path / "measured", paths[0]])
    assert {str(p) for p in paths[1:4]} == {s.file for s in (*data.train, *data.evaluation)}


def test_measured_sources_give_samples_apart(tmp_path: Path) -> None:
    """Every site of them, with the context that the trained sources' counts give, and none to train on."""
    trained, apart = (
        folds.write_usage(tmp_path / "kept", 6)[:4],
        folds.write_usage(tmp_path / "measured", 6)[4:],
    )
    data = made(trained, Plain, measured=[Source("elsewhere", tuple(apart))])
    assert {"elsewhere"} == {s.source for s in data.other_sources}
    assert 2 * 8 * 2 == len(data.other_sources)
    assert {"origami"} == {s.source for s in data.train}


def test_large_and_unrelated_files_are_passed_over(tmp_path: Path) -> None:
    """A plain search for the import name before any parsing."""
    (tmp_path / "other.py").write_text("import sys\n")
    (tmp_path / "large.py").write_text("import folds\n" + "#" * 1_000_001)
    (tmp_path / "stub.pyi").write_text("import folds\n")
    (tmp_path / "small.py").write_text("import folds\n")
    found = files_that_mention([*sorted(tmp_path.iterdir()), tmp_path / "gone.py"], ["folds"])
    assert [tmp_path / "small.py"] == found


def test_unreadable_text_is_a_problem_not_an_error(tmp_path: Path) -> None:
    """Invalid UTF-8 and broken syntax."""
    (tmp_path / "latin.py").write_bytes(b"import folds # \xff\n")
    (tmp_path / "broken.py").write_text("import folds\nfolds.(\n")
    data = made(sorted(tmp_path.iterdir()), Plain)
    assert ((), 0, 2) == (data.train, data.sites, len(data.problems))


def test_one_file_and_one_function_are_capped(tmp_path: Path) -> None:
    """A generated file does not drown the others."""
    path = tmp_path / "many.py"
    path.write_text("import folds\n" + "".join(f"a{n} = {n}\nfolds.fold({n})\n" for n in range(300)))
    assert 20 == made([path], replace(Plain, per_file=20)).sites
    assert 7 == made([path], replace(Plain, per_function=7)).sites


def test_mining_stops_when_its_time_is_up(tmp_path: Path) -> None:
    """What was found until then counts, and the problem says how far it came."""
    ticks = iter([0.0, 1.0, 2.0, 300.0])
    data = made(folds.write_usage(tmp_path, 5), replace(Plain, held_files=0), clock=lambda: next(ticks))
    assert 2 == len({s.file for s in (*data.train, *data.evaluation)})
    assert ("time ran out after 2 of 5 files that mention folds",) == data.problems


def test_synthesised_calls_bind_their_signature(tmp_path: Path) -> None:
    """Public functions, classes and methods of their instances, with what is required; each parses."""
    path = tmp_path / "a.py"
    path.write_text("import folds as fo\n")
    data = made([path], replace(Plain, synthesised=100))
    calls = {s.prompt.line + s.completion for s in data.train}
    assert {
        "result = fo.fold(paper)",
        "result = fo.crease(line)",
        "result = fo.unfold(paper)",
        "result = fo.measure(paper)",
        "result = fo.cut(paper, along=along)",
        "result = fo.Sheet(width)",
        "sheet.turn(angle)",
        "sheet.press()",
    } == calls
    assert {"synthesised": 8} == data.sources()
    for sample in data.train:
        ast.parse(sample.prompt.before + sample.prompt.line + sample.completion)


def test_progress_counts_files(tmp_path: Path) -> None:
    """From none to all."""
    seen: list[tuple[int, int]] = []
    made(folds.write_usage(tmp_path, 3), progress=lambda done, total: seen.append((done, total)))
    assert [(0, 3), (1, 3), (2, 3), (3, 3)] == seen


def test_calls_of_other_libraries_are_not_samples(tmp_path: Path) -> None:
    """The analyser's word on the library counts."""
    (path,) = folds.write_usage(tmp_path, 1)

    def elsewhere(source: object, text: str, name: str) -> tuple[list[CallSite], list[str]]:
        sites, problems = folds.call_sites(folds.Index(), text, name)
        return [replace(s, library="other", receiver="other") for s in sites], problems

    source = Source("origami", (path,))
    tools = Tools(elsewhere, folds.members)
    data = build(folds.Index(), folds.LIBRARY, ["folds"], [source], plan=Plain, tools=tools)
    assert 0 == data.sites


@pytest.mark.parametrize(
    ("parameters", "shown", "required"),
    [
        ((), "", ""),
        ((Parameter("a"), Parameter("b", default="1")), "a, b=1", "a"),
        ((Parameter("a", "positional"), Parameter("b")), "a, /, b", "a, b"),
        ((Parameter("a", "positional"),), "a, /", "a"),
        ((Parameter("a"), Parameter("k", "keyword")), "a, *, k", "a, k=k"),
        ((Parameter("args", "vararg"), Parameter("k", "keyword", "0")), "*args, k=0", ""),
        ((Parameter("kwargs", "kwarg"),), "**kwargs", ""),
        ((Parameter("a", default="'a very long default'"),), "a=...", ""),
    ],
)
def test_signatures_are_shown_as_the_base_was_trained(
    parameters: tuple[Parameter, ...], shown: str, required: str
) -> None:
    """Markers between the kinds, no annotations, long defaults as three dots."""
    assert (shown, required) == (render_parameters(parameters), required_arguments(parameters))
