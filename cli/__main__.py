"""``python -m octod.cli`` is ``octod``."""

from octod.cli import main

if __name__ == "__main__":
    main()
