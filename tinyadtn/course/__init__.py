"""What the notebooks need besides their own cells; the notebooks themselves are in notebooks/.

- ``exercises/``: checks, hints, and wrong answers that each check must reject, one file per
  notebook: ``ex00_the_whole_idea``, ``ex01_differentiate``, ``ex02_gradcheck``,
  ``ex03_broadcasting``, ``ex04_train``, ``ex05_convolution``, ``ex06_tensor_networks``,
  ``ex07_imitation``, ``ex08_compress``, ``ex09_reading_a_claim``. ``zoo`` holds planted bugs and
  ``broken`` broken training runs.
- ``player``: pictures of a process with play, step and slider.
- ``pictures/``: the larger pictures. ``graph``, ``steps``, ``stretch``, ``learning``, ``patches``,
  ``walls``, ``fits``, ``budgets`` and ``claims`` belong to 01 to 09, in this order; ``rows`` to 00.

The pictures ``page``, ``line`` and ``letters`` belong to 00, 01 and 03. How an exercise is checked
is in ``tinyadtn.teach``.
"""
