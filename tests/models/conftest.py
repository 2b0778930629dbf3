"""Makes `suite` and `synthetic` importable for the model tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
