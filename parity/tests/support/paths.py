"""Where the project is."""

from pathlib import Path

import parity

PACKAGE = Path(parity.__file__).parent
ROOT = PACKAGE.parent
