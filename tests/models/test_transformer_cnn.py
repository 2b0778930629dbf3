"""TransformerCNN keeps what every model of its family keeps, and has the size and the parts of spec/affinity.md."""

from affinity_suite import AffinitySuite

from psigraph.models import build_model
from psigraph.models.affinity.attention import ChannelAttention, SpatialAttention, TransformerBlock


class TestTransformerCNN(AffinitySuite):
    architecture = "transformer_cnn"
    hyperparameters = {"dim": 32, "heads": 4, "blocks": 2}
    parameters = (5.46e6, 0.02)


def test_parts_of_the_note() -> None:
    found = [type(module) for module in build_model("transformer_cnn").modules()]
    assert found.count(TransformerBlock) == 4
    assert found.count(ChannelAttention) == found.count(SpatialAttention) > 0
