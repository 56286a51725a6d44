"""`python -m rslint` is `rslint`."""

import sys

from rslint.cli import main

sys.exit(main())
