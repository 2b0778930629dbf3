"""Builds the kernels: `python -m psigraph.models.kernels`."""

import sys

from psigraph.models.kernels.build import main

sys.exit(main())
