"""Replace the dense weights of a model by encodings, and measure the savings.

Read in this order:

- ``compress``: encode the chosen layers of a model; ``decompress`` decodes them again.
- ``fitting``: fit these encodings to the dense weights.
- ``report``: a table of stored parameters; ``summary``: a table of layers and their costs.
- ``checkpoint``: ``save`` and ``load``; ``configure``: builds a model from its configuration;
  ``encoded_model``: the weights and the configuration of an encoded model.

``suggest`` (encodings within a budget) and ``timing`` (seconds per layer) may be skipped at first.
"""
