"""TODO ops."""

from . import operators as operators
