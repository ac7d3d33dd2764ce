"""Layers applied without forming W: a batch goes through the factors of a weight, one by one.

Skip this room at first: the results are those of decoding the weight and multiplying.

Read ``chain`` (a matrix as a chain of cores, and a batch that goes through it), then ``by_factors``
(a weight that is applied so) and ``rule``: which of the two ways takes less. ``cost`` is what both
are counted in. ``wall_chain`` is an ADTN of depth 1 as a chain, ``cut`` one of any wiring without
activation. ``row`` is for convolutions: a row of smaller ones, or a chain for the patches of the
image; ``few_filters`` is the product that they need. ``precomputed`` is ``ta.decoded``.
"""
