"""Neural networks: modules with parameters, layers, the networks as tables, optimizers.

Read ``module`` (how parameters are found by name), then ``layers``: each is a line of mathematics.
``weights`` has that line, and what a layer asks of a weight that is not a Tensor. ``sequential``
puts layers in a row, and ``models`` has the six networks as tables that read like their papers.
Then ``optim`` and ``schedules``: how parameters follow their gradients.

``parameters`` draws initial values; ``norm_layers`` are the layers that normalize. At first skip
``surgery`` (other weights put into a model, parameters frozen) and ``devices`` (to a GPU and back).
"""
