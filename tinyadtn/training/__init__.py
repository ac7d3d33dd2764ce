"""Training: the loop, evaluation, and what a run is on disk.

Read ``train``: the loop is a generator, so that its body is yours. ``evaluate`` has the loss and
the accuracy on a split, and predictions. ``runs`` is the plan and the state of a run, saved and
resumed to the same bits. ``memory`` estimates what a run takes before it starts. ``features``
computes once what a network's first layers compute from a data set, so that many heads can be
trained on it. ``progress_bar`` shows the steps of a run.
"""
