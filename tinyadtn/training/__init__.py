"""Training and evaluation.

Read in this order:

- ``train``: the training loop, a generator.
- ``evaluate``: loss, accuracy and predictions of a model.
- ``start``: the checks before the first step; ``plan``: the options of a run; ``runs``: its state,
  saved to files; ``resume``: read from them; ``folder``: the folder of these files.

The other files may be skipped at first: ``parts`` (optimizers and schedules, also those of the
user), ``interrupts`` (Ctrl-C at any point), ``vanish`` (parameters that diverged, weights whose
norm vanished), ``progress_bar`` (a bar around the loop), ``memory`` (an estimate before a run
starts), ``features`` (the output of a network's first layers as a data set).
"""
