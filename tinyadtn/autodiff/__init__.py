"""The engine: tensors, graphs, gradients.

Read ``engine`` first: 160 lines, and the heart of the library. Then ``gradcheck``, which compares a
gradient with difference quotients.

At first skip the rest. ``rules`` checks what an op receives and returns, and raises the errors;
``dtypes`` promotes number types; ``arraylike`` is the half of Tensor that has nothing to do with
gradients (shape, item, numpy, printing). ``arrays`` is the one file in which NumPy and CuPy differ.
``modes`` has the switches no_grad, detect_anomaly and unprotected; ``guard`` makes arrays read-only
while a graph needs them; ``anomaly`` finds the op that made the first NaN.
"""
