"""``python -m octod.lsp``: the same as ``octod lsp``."""

import sys

from octod.lsp import serve

if __name__ == "__main__":
    sys.exit(serve())
