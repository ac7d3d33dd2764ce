"""The ops: every function that a gradient flows through, each with its gradient next to its value.

Read them in this order. Any file after ``contract`` can be read alone.

- ``basic``: arithmetic, elementwise functions, matmul. Its first lines show how an op is written.
- ``reductions`` and ``shapes``: sum, max, softmax; reshape, transpose, indexing.
- ``contract``: the contraction of tensors, the op that tensor networks are made of.
- ``loss``: cross-entropy and accuracy; ``dropout``.
- ``windows``, then ``conv`` and ``pool``: a window that slides over an image.
- ``norm``: batch normalisation; ``local_norm``: two older kinds.
- ``operators``: what ``x * y`` and ``x.sum()`` mean for a Tensor.

Skip ``fast/`` at first: ``blocked_conv`` and ``winograd`` compute what ``conv`` defines, only
faster, and ``scratch`` keeps memory for them.
"""

from . import operators as operators
