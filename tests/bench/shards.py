"""Token shards of a tiny environment, as `octod base train` makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.base.conftest import LIBRARY, USER


def make_corpus(folder: Path) -> Path:
    """`folder / "corpus"`: a library and its users to train on, other users held out."""
    pytest.importorskip("tokenizers")
    from octod.adapters.base.corpus import CorpusConfig, build_corpus

    files = {"wires": {"wires/__init__.py": LIBRARY}}
    for name, numbers in (("users", range(12)), ("others", range(20, 24))):
        files[name] = {f"{name}/app{n}.py": USER.format(number=n) for n in numbers}
    for name, contents in files.items():
        info = folder / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n\n")
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in contents))
        for path, text in contents.items():
            (folder / "site" / path).parent.mkdir(exist_ok=True)
            (folder / "site" / path).write_text(text)
    build_corpus(CorpusConfig((folder / "site",), folder / "corpus", held_out=frozenset({"others"}), vocabulary=600, workers=1))
    return folder / "corpus"
