"""Layers applied without forming W (*decode-free*): a batch goes through the factors of a weight.

Skip this room at first: the results are those of decoding the weight and multiplying.

A weight is a chain of factors, and a batch goes through them in the cheapest order. Read ``chain``
(what a chain is, and how a batch goes through it), ``by_factors`` (a weight that is applied so) and
``rule`` (through the factors or through the decoded weight: which takes less). ``cost`` is the unit
in which both are counted.

Where chains come from: ``wall_chain`` is an ADTN of depth 1 on a brick wall, ``cut`` one of any
wiring without activation. ``row`` is for convolutions: a row of smaller ones, or a chain for the
patches of the image. ``few_filters`` is the product that they need. ``precomputed`` is
``ta.decoded``.
"""
