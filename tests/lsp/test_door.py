"""What an editor's first request waits for."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_door_opens_on_the_standard_library_alone() -> None:
    """Importing what answers ``initialize`` loads neither pygls nor asyncio, and nothing of the daemon."""
    code = "import json, sys, octod.lsp.door; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(ended.stdout)
    assert [] == [name for name in loaded if name.startswith(("octod.daemon", "octod.indexer", "octod.adapters"))]
    assert set() == {"asyncio", "attrs", "lsprotocol", "numpy", "pygls", "sqlite3"} & set(loaded)
