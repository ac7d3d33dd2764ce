"""Products in slices: the same as one product, for every number of columns."""

import numpy as np
import pytest

from tinyadtn.ops.fast import products
from tinyadtn.ops.fast.products import product


@pytest.mark.parametrize("small", [0, 200, 1000, 10**6])  # one product; slices of 16, 64; one again
@pytest.mark.parametrize("columns", [0, 1, 16, 17, 48, 128, 130])
@pytest.mark.parametrize("groups", [(), (2,)])
def test_slices_are_the_product(monkeypatch, small, columns, groups):
    monkeypatch.setattr(products, "SMALL", small)
    rng = np.random.default_rng(0)
    a = rng.integers(-9, 9, (*groups, 3, 4)).astype(np.float32)
    b = rng.integers(-9, 9, (*groups, 4, columns)).astype(np.float32)
    out = np.full((*groups, 3, columns), np.nan, np.float32)
    assert product(a, b, out=out) is out
    np.testing.assert_array_equal(out, a @ b)
