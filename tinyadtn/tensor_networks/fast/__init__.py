"""The fast contraction of a brick wall: same T and same gradients as ``gates``, up to rounding.

Skip this folder at first. Then read ``fast_wall``: it contracts the first TN layer as a matrix
product state, whose cores are in ``pair_cores``, and hands every later TN layer to
``wall_windows``. ``one_layer`` computes the weight of depth 1 in the order of its axes, without T.
All of them work on plain arrays and compute their gradients by hand.
"""
