"""Import statements find their place."""

from __future__ import annotations

import pytest
from octod.daemon.insertion import imports_before, statement

STANDARD = {"os", "re", "sys", "pathlib"}


def group(module: str) -> int:
    """isort's sections for the modules of this test."""
    top = module.split(".")[0]
    return 0 if top in STANDARD else 2 if top == "mine" else 1


def check(source: str, module: str, name: str, alias: str = "") -> str:
    """The source with the import, the cursor taken out."""
    offset = source.index("$0")
    text = source.replace("$0", "")
    edit = imports_before(text, offset, group).edit(module, name, alias)
    assert edit.end <= offset
    return text[: edit.start] + edit.text + text[edit.end :]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("DataFr$0", "from pandas import DataFrame\n\nDataFr"),
        ("x = 1\nDataFr$0", "from pandas import DataFrame\n\nx = 1\nDataFr"),
        ('"""Doc."""\n\nDataFr$0', '"""Doc."""\n\nfrom pandas import DataFrame\n\nDataFr'),
        ('"""Doc\nof two."""\nDataFr$0', '"""Doc\nof two."""\n\nfrom pandas import DataFrame\n\nDataFr'),
        ("#!/bin/x\n# Licence\n\nDataFr$0", "#!/bin/x\n# Licence\n\nfrom pandas import DataFrame\n\nDataFr"),
        ("from __future__ import annotations\nDataFr$0", "from __future__ import annotations\n\nfrom pandas import DataFrame\nDataFr"),
        ("import os\nimport zarr\n\nDataFr$0", "import os\nfrom pandas import DataFrame\nimport zarr\n\nDataFr"),
        ("import os\n\nimport numpy\n\nDataFr$0", "import os\n\nimport numpy\nfrom pandas import DataFrame\n\nDataFr"),
        ("import os\nfrom . import a\nDataFr$0", "import os\n\nfrom pandas import DataFrame\n\nfrom . import a\nDataFr"),
        ("from pandas import Series\nDataFr$0", "from pandas import Series, DataFrame\nDataFr"),
        ("from pandas import Series  # why\nDataFr$0", "from pandas import Series, DataFrame  # why\nDataFr"),
        ("from pandas import (\n    Series,\n)\nDataFr$0", "from pandas import (\n    Series,\n    DataFrame,\n)\nDataFr"),
        ("from pandas import (\n    Series,  # why\n)\nDataFr$0", "from pandas import (\n    Series,  # why\n    DataFrame,\n)\nDataFr"),
        ("from pandas import (\n    A,\n    B as C\n)\nDataFr$0", "from pandas import (\n    A,\n    B as C,\n    DataFrame\n)\nDataFr"),
        ("from pandas import (A, B)\nDataFr$0", "from pandas import (A, B, DataFrame)\nDataFr"),
        ("from pandas import (A,\n                    B)\nDataFr$0", "from pandas import (A,\n                    B,\n                    DataFrame)\nDataFr"),
        ("from pandas import A, \\\n    B\nDataFr$0", "from pandas import A, \\\n    B, DataFrame\nDataFr"),
        ("from pandas import (\r\n    A,\r\n)\r\nDataFr$0", "from pandas import (\r\n    A,\r\n    DataFrame,\r\n)\r\nDataFr"),
        ("import zarr\nfrom . import a\nos$0", "from pandas import DataFrame\nimport zarr\nfrom . import a\nos"),
        ("from . import a\nDataFr$0", "from pandas import DataFrame\n\nfrom . import a\nDataFr"),
        ("from pandas import *\nDataFr$0", "from pandas import *\nfrom pandas import DataFrame\nDataFr"),
        ("from pandas import A; x = 1\nDataFr$0", "from pandas import DataFrame\n\nfrom pandas import A; x = 1\nDataFr"),
        ("import os\r\nDataFr$0", "import os\r\n\r\nfrom pandas import DataFrame\r\nDataFr"),
        ("import os\nif TYPE_CHECKING:\n    import pandas\nDataFr$0", "import os\n\nfrom pandas import DataFrame\nif TYPE_CHECKING:\n    import pandas\nDataFr"),
        ("try:\n    import pandas\nexcept ImportError:\n    pass\nDataFr$0", "from pandas import DataFrame\n\ntry:\n    import pandas\nexcept ImportError:\n    pass\nDataFr"),
        ("import os\ndef f():\n    return DataFr$0\nimport re\n", "import os\n\nfrom pandas import DataFrame\ndef f():\n    return DataFr\nimport re\n"),
        ("import os\nx = (\ndef f(:\n    DataFr$0", "import os\n\nfrom pandas import DataFrame\nx = (\ndef f(:\n    DataFr"),
        ("DataFr$0\nimport os\n", "from pandas import DataFrame\n\nDataFr\nimport os\n"),
    ],
)  # fmt: skip
def test_an_import_goes_beside_the_others(source: str, expected: str) -> None:
    """After the docstring and ``__future__``, sorted among the others, into an existing line; never into a block."""
    assert expected == check(source, "pandas", "DataFrame")


def test_a_line_does_not_grow_beyond_its_length() -> None:
    """A long list of names gets a statement of its own beside it."""
    long = f"from pandas import {', '.join(f'name{n}' for n in range(12))}"
    assert f"{long}\nfrom pandas import DataFrame\nx" == check(f"{long}\nx$0", "pandas", "DataFrame")


def test_modules_and_aliases() -> None:
    """What the statement reads like."""
    assert "import numpy as np\n\nnp" == check("np$0", "numpy", "", "np")
    assert "from torch import nn" == statement("torch", "nn")
    assert "import os" == statement("os", "")
