"""Pictures, each a Matplotlib figure: ``ta.draw.curves`` and its like need the extra ``plot``.

Read ``style`` for the colours and how a figure is saved, then ``wall`` for the picture of an ADTN.
``weights``, ``curves``, ``digits`` and ``tradeoff`` are one kind of picture each.
"""

from .curves import training_curves
from .images import digits
from .matrices import cut_spectrum, singular_values, weights
from .scatter import tradeoff
from .style import save
from .wall import brick_wall

__all__ = [
    "brick_wall",
    "cut_spectrum",
    "digits",
    "save",
    "singular_values",
    "tradeoff",
    "training_curves",
    "weights",
]
