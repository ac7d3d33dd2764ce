"""Layers applied without forming W (*decode-free*): a batch goes through the factors of a weight.

Skip this room at first: it gives the same results as decoding the weight and multiplying.

A weight is a chain of factors, and a batch goes through them in the cheapest order. Read ``chain``
(what a chain is, and how a batch goes through it), ``by_factors`` (a weight that is applied in this
way) and ``rule`` (which is cheaper: the factors or the decoded weight). ``cost`` is the unit in
which both are counted.

``wall_chain`` makes the chain of an ADTN of depth 1 on a brick wall. ``row`` is for convolutions: a
row of smaller ones, or a chain for the patches of the image. ``few_filters`` is the product that
they need. ``precomputed`` has ``ta.decoded``.
"""
