"""How thorough the property tests are, and where every test finds its random numbers."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci",
    max_examples=60,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=SLOW_IS_FINE,
)
settings.register_profile(
    "deep", max_examples=1000, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.load_profile(
    os.environ.get("TINYADTN_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "dev")
)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that every test starts afresh, so that no test depends on another."""
    return np.random.default_rng(20240607)
