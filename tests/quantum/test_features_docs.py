"""docs/features.md is what the code says, and the table says everything."""

import pytest

from psigraph.graphs.regional_table import KNOWN
from psigraph.quantum.features_docs import reference
from psigraph.quantum.table import FEATURES


def test_reference_is_up_to_date(repository):
    text = (repository / "docs/features.md").read_text()
    assert text == reference(), "run: python -m psigraph.quantum.features_docs docs"


@pytest.mark.parametrize("name", FEATURES)
def test_feature_is_described(name):
    """One row each, with a unit, a definition and a source."""
    feature = FEATURES[name]
    assert feature.unit and len(feature.definition) > 10 and len(feature.citation) > 5
    table, regional = reference().split("## Regional")
    assert sum(line.startswith(f"| `{name}`") for line in table.splitlines()) == 1
    used = any(name in known for known in KNOWN.values())
    columns = regional.split("### Columns of pairs")[0]
    assert any(line.startswith(f"| `{name}`") for line in columns.splitlines()) == used
    assert feature.rank <= len(feature.shape) and set(feature.shape[len(feature.shape) - feature.rank :]) <= {3}
    assert set(feature.implies) <= set(FEATURES)
