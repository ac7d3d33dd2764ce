"""Encodings, which replace a weight: objects that decode to a tensor of the weight's shape.

Read ``encoding`` (what all encodings have in common) and ``adtn`` (the deep tensor network).
``scale`` is the initialization of an ADTN, ``fit`` approximates a given weight, and
``costs`` counts its memory and multiply-adds. The others are trained in the same loop:
``low_rank``, ``tucker`` and ``tensor_train`` are linear in each of their factors (``factored``),
``mixt`` is a mean of dense gates, and ``frozen`` is the baseline, random and never trained.
``dense`` (all entries), ``pruned`` (some) and ``quantized`` (any encoding in few bits) are for
accuracy against bytes. ``update`` adds an encoding to a frozen dense weight. ``recipe`` makes an
encoding from a depth, a class or a recipe.

At first skip ``joint`` (one encoding for several layers) and ``independent`` (how many of the
stored parameters are independent).
"""
