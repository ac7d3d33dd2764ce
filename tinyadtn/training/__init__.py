"""Training and evaluation.

Read in this order:

- ``train``: the training loop, a generator.
- ``evaluate``: loss, accuracy and predictions of a model.
- ``runs``: the plan and the state of a run, saved and resumed; ``folder``: where they are saved.

The rest may be skipped at first: ``interrupts`` (Ctrl-C at any point), ``vanish`` (encoded
weights that training has lost), ``progress_bar`` (a bar
around the loop), ``memory`` (an estimate before a run starts), ``features`` (the output of a
network's first layers as a data set).
"""
