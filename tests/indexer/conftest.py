"""What the indexer's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

# The workers of a build import the stand-in for the usage module by name.
sys.path.insert(0, str(Path(__file__).parent))
