"""The same results as the plain ops, faster: skip this at first.

``blocked_conv`` takes a convolution a block at a time, ``winograd`` needs fewer multiplications,
``scratch`` is memory that they reuse.
"""
