"""Torch for the tests that compare with it: skipped aloud where it is missing.

With TINYADTN_REQUIRE_TORCH=1 (what CI sets) they fail instead.
"""

import os

import pytest

try:
    import torch
except ImportError:
    if os.environ.get("TINYADTN_REQUIRE_TORCH") == "1":
        pytest.fail("TINYADTN_REQUIRE_TORCH=1, but torch is not installed", pytrace=False)
    pytest.skip("torch is not installed: nothing is compared with it", allow_module_level=True)

torch.set_num_threads(1)  # as OPENBLAS_NUM_THREADS=1 for NumPy: pytest has a process a core

__all__ = ["torch"]
