"""Faster ways to compute what ``conv`` defines. Their tests compare them with the plain code.

``blocked_conv`` works on a part of the batch at a time; ``winograd`` needs fewer multiplications
for 3×3 kernels; ``products`` and ``scratch`` multiply matrices and keep memory for both.
"""
