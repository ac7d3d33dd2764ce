"""Every op with its gradient: functions on Tensors that the engine can differentiate.

Read ``basic`` first: each op is a line of NumPy and, next to it, what it does to a gradient. Then
``contract``: index notation, and the one sentence that is its gradient. ``reductions`` and
``shapes`` are more of the first kind. ``loss`` has softmax cross-entropy. ``operators`` gives
Tensor ``+`` and ``*``: importing this package does that.

For images: ``windows`` (where the cells of a sliding window lie), then ``conv`` and ``pool``.
``norm`` is batch normalization, ``local_norm`` and ``dropout`` are for AlexNet and ZFNet.

Skip ``fast`` at first: ``blocked_conv``, ``winograd`` and ``scratch`` compute what ``conv`` does.
"""

from . import operators as operators
