"""Architecture 3 of spec/regional.md: the nearest regions are joined, step by step, until one embedding is left."""

from psigraph.models.regional.hierarchy import JoiningModel
from psigraph.models.regional.joining import Join
from psigraph.models.regional.levels import Level, Parts


class RegionCoarsening(JoiningModel):
    """Each step joins the nearest regions and pools the bonds between them into one, until one is left.

    What is joined when follows from the bonds (`psigraph.models.regional.joining`), so predictions are smooth in the
    positions. After each step there is a pass of attention along the generalised bonds.
    """

    def choose(self, level: Level, join: Join) -> Parts:
        """Return the plan's choice: every item goes where its nearest go."""
        return Parts(join.part, join.owner)
