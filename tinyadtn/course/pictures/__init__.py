"""The larger pictures of the notebooks, in the palette of `tinyadtn/draw/style.py`."""
