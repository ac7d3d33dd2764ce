"""The ops: every differentiable function, with its value and its gradients next to each other.

Read them in this order. Any file after ``contract`` can be read alone.

- ``basic``: arithmetic, elementwise functions, matmul. Its first lines show how an op is written.
- ``reductions`` and ``shapes``: sum, mean, max; reshape, transpose, indexing.
- ``contract``: tensor contraction, the op that tensor networks consist of; ``patterns`` reads the
  letters.
- ``softmax``; ``loss``: cross-entropy and accuracy; ``dropout``.
- ``windows``, then ``conv``, ``conv_transpose`` and ``pool``: a window slides over an image.
- ``norm``: batch normalization; ``local_norm``: two older methods.
- ``trigonometric``, ``statistics``, ``cumulative``, ``joining``: a few functions each.
- ``operators``: what ``x * y`` and ``x.sum()`` mean for a Tensor. ``arguments``: shared checks.
  ``other_names``: what to write for the names of NumPy and PyTorch.

Skip ``fast/`` at first: ``blocked_conv`` and ``winograd`` compute what ``conv`` defines, only
faster; ``products`` and ``scratch`` multiply matrices and keep memory for them.
"""

from . import operators as operators
