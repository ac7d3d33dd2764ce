"""Neural networks: modules with parameters, layers, the networks as tables, optimizers.

Read ``module`` (how parameters are found by name), then ``layers``: each is a line of mathematics.
``weights`` has that line, and the interface of a weight that is not a Tensor. ``sequential`` chains
layers, and ``models`` defines the networks as tables that read like their papers (the large ones in
``deep_models``, the rows in ``tables``). Then read ``optim`` and ``schedules``: how an optimizer
updates parameters from their gradients.

``parameters`` draws initial values; ``pool_layers`` and ``norm_layers`` have more layers. At first
skip ``members`` (what belongs to a module), ``optim_checks`` (what an optimizer checks),
``surgery`` (replacing weights, freezing parameters) and ``devices`` (to a GPU and back).
"""

from typing import TYPE_CHECKING

if not TYPE_CHECKING:

    def __getattr__(name: str) -> None:
        """Raise AttributeError; torch's ``nn.Linear`` is ``ta.Linear`` here."""
        hint = "" if name.startswith("_") else f"; layers and ops are in the package: ta.{name}"
        raise AttributeError(f"module 'tinyadtn.nn' has no attribute {name!r}{hint}")
