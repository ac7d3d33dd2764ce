"""Pictures: the brick wall, weights, singular values, training curves, digits.

Every function takes plain objects and returns a Matplotlib ``Figure`` that the caller owns: no
window, no global state. A notebook shows it, ``save`` writes it. ``figure.get_label()`` says in
words what is to be seen. Matplotlib is the extra ``plot``.

Read ``style`` (colours, and how a figure is made and saved), then ``wall``: the picture of an ADTN.
``matrices`` draws weights and their singular values, ``curves`` a training, ``images`` digits,
``scatter`` accuracy over the number of parameters.
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
