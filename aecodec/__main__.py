"""The command line as ``python -m aecodec``."""

import sys

from aecodec.cli import main

sys.exit(main())
