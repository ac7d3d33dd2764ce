"""The engine: tensors, graphs, gradients.

Read ``engine`` first; it is the core of the library. Then read ``gradcheck``, which compares a
gradient with difference quotients.

Skip the other files at first. ``rules`` checks what an op receives and returns, and raises the
errors; ``op_errors`` has those about ops that a user wrote, and recognizes NumPy's about shapes.
``options`` copies options that somebody could change. ``dtypes`` promotes dtypes. ``arraylike`` is
the half of Tensor that has nothing to do with gradients (shape, item, numpy, printing);
``op_methods`` lists the methods that ``ops`` adds. ``arrays`` is the only file in which NumPy and
CuPy differ; ``shape_only`` is an array without values. ``modes`` has the switches no_grad,
detect_anomaly and unprotected; ``switch`` says what a switch is. ``guard`` makes arrays read-only
while a graph needs them. ``anomaly`` finds the op that produced the first NaN.
"""
