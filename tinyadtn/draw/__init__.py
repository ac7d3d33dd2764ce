"""Pictures: each function returns a Matplotlib figure. They need Matplotlib and Pillow.

Read ``style`` first (palette, new figures, saving), then ``wall`` (the gates of an ADTN). Each of
the other files draws one kind of picture and can be read alone:

- ``matrices``: weights and singular values.
- ``curves``: loss and accuracy during training.
- ``images``: a gallery of digits.
- ``scatter``: accuracy against stored parameters.
- ``bars``: the drop of the accuracy by layer.
"""

from .bars import sensitivity
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
    "sensitivity",
    "singular_values",
    "tradeoff",
    "training_curves",
    "weights",
]
