"""The tensor network behind an ADTN: sites, gates, and their contraction into the tensor T.

Read in this order. ``wall``: the picture of the network, and its columns of gates for a depth M.
``gates``: the contraction, one gate at a time (``network_tensor``). This is the definition;
``apply_gate`` applies a single gate.
``activations``: the functions σ between TN layers. ``wirings``: which pairs of sites the gates of
one TN layer act on. ``sites``: how the axes of a weight become sites, and how T becomes the weight.

Skip these files at first: ``orders``, the named orders of the sites; ``starts``, the initialization
of the gates; ``counting``, effective parameters and memory. The folder ``fast`` has the same
contraction for brick walls, several times faster and tested against the definition: ``fast_wall``
(the schedule), ``pair_cores`` (the first TN layer), ``wall_windows`` (all later TN layers), and
``one_layer`` (the weight of depth 1, in the order of its axes).
"""
