"""The quick fix for a removed name, of a real library as it is installed, from the editor's side."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from octod.core.paths import private_folder

from tests.end_to_end.house import House, until
from tests.lsp.client import LspClient

pytestmark = pytest.mark.slow


def applied(text: str, edits: list[dict[str, Any]]) -> str:
    """The text after the edits of one document; lines are ASCII."""
    lines = text.splitlines(keepends=True)

    def offset(place: dict[str, int]) -> int:
        return sum(map(len, lines[: place["line"]])) + place["character"]

    for edit in sorted(edits, key=lambda e: -offset(e["range"]["start"])):
        text = text[: offset(edit["range"]["start"])] + edit["newText"] + text[offset(edit["range"]["end"]) :]
    return text


def test_names_that_numpy_removed_get_a_quick_fix(tmp_path: Path, index: Path) -> None:
    """numpy itself says what took the place of what 2.0 removed; what it still has, and what it never had, gets nothing."""
    numpy = distribution("numpy")
    if int(numpy.version.split(".")[0]) < 2:
        pytest.skip("this numpy still has them")
    house = House(tmp_path, index)
    folder = Path(str(numpy.locate_file("")))
    for name in ("numpy", f"numpy-{numpy.version}.dist-info"):
        (house.environment.packages / name).symlink_to(folder / name)
    private_folder(house.paths.config)
    (house.paths.config / "config.toml").write_text('engine = "none"\n')

    def actions(editor: LspClient, source: str) -> list[Any]:
        text, before = source.replace("$0", ""), source.split("$0")[0]
        editor.change([{"text": text}], house.uri)
        place = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
        params = {"textDocument": {"uri": house.uri}, "range": {"start": place, "end": place}, "context": {"diagnostics": []}}
        return editor.request("textDocument/codeAction", params) or []

    try:
        with house.editor() as editor:
            until(lambda: "float64" in house.menu(editor, "import numpy as np\nnp.$0"), "index of numpy")
            wanted = {
                "import numpy as np\nx = np.float_$0(1)\n": "import numpy as np\nx = np.float64(1)\n",
                "import numpy as np\nx = np.Inf$0\n": "import numpy as np\nx = np.inf\n",
                "from numpy import float_$0\n": "from numpy import float64 as float_\n",
            }
            for source, expected in wanted.items():
                (found,) = until(lambda source=source: actions(editor, source), "quick fix")  # type: ignore[misc]
                assert ("quickfix", True) == (found["kind"], found["isPreferred"])
                assert f"numpy {numpy.version}" in found["title"]
                assert expected == applied(source.replace("$0", ""), found["edit"]["changes"][house.uri])
            for source in ("import numpy as np\nnp.float64$0(1)", "import numpy as np\nnp.nonsense$0", "np.float_$0(1)"):
                assert [] == actions(editor, source), source
    finally:
        house.close()
