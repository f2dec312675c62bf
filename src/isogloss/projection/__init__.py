"""Pictures of many sentences at once, and what of them holds in the space they were made from.

Arrays in, arrays out: nothing here reads files or needs torch.
"""

from isogloss.projection.align import follow
from isogloss.projection.neighbours import Neighbourhood, neighbourhood
from isogloss.projection.space import Metric, Space, space
from isogloss.projection.tsne import Projection, project

__all__ = [
    "Metric",
    "Neighbourhood",
    "Projection",
    "Space",
    "follow",
    "neighbourhood",
    "project",
    "space",
]
