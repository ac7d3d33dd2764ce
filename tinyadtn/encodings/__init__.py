"""What replaces a weight: objects that decode to a tensor of the weight's shape.

Read ``encoding`` (what all have in common) and ``adtn`` (the deep tensor network; ``scale`` is its
initialization, ``fit`` brings it close to a given weight, ``costs`` counts what it takes). Then the
others, which are trained in the same loop: ``low_rank``, ``tucker`` and ``tensor_train`` are linear
in each of their factors (``factored``), and ``frozen`` is the baseline, random and never trained.

At first skip ``joint`` (one encoding for several layers) and ``independent`` (how many of the
stored parameters are independent).
"""
