"""Encodings, which replace a weight: objects that decode to a tensor of the weight's shape.

Read ``encoding`` (what all encodings have in common) and ``adtn`` (the deep tensor network).
``scale`` is the initialization of an ADTN, ``fit`` approximates a given weight with it, and
``costs`` counts its memory and multiply-adds. The others are trained in the same loop:
``low_rank``, ``tucker`` and ``tensor_train`` are linear in each of their factors (``factored``),
and ``frozen`` is the baseline, random and never trained.

At first skip ``joint`` (one encoding for several layers) and ``independent`` (how many of the
stored parameters are independent).
"""
