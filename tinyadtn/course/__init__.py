"""What the notebooks need besides their own cells; the notebooks themselves are in notebooks/.

- ``exercises/``: checks, hints, and wrong answers that each check must reject, one file per
  notebook: ``ex00_the_whole_idea``, ``ex01_differentiate``, ``ex02_gradcheck``,
  ``ex03_broadcasting``, ``ex04_train``, ``ex05_convolution``, ``ex06_few_numbers``,
  ``ex07_brick_wall``, ``ex08_imitation``, ``ex09_compress``, ``ex10_what_424_can_be``,
  ``ex11_when_it_improves``. ``zoo`` holds planted bugs and ``broken`` broken training runs.
- ``player``: pictures of a process with play, step and slider.
- ``results``: reads the project's measured runs, and prints a table of runs.
- ``pictures/``: the larger pictures. ``page`` and ``rows`` belong to 00; ``graph`` and ``line`` to
  01; ``steps`` to 02; ``stretch``, ``letters`` and ``learning`` to 03 and 04; ``patches`` to 05;
  ``cuts``, ``walls``, ``fits``, ``budgets`` and ``claims`` to 06 to 09 and 11, in this order.
  ``legs`` draws tensor networks as nodes and legs.
- ``asking``: how a check calls an answer that needs objects.

How an exercise is checked is in ``tinyadtn.teach``.
"""
