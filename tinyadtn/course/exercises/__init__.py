"""The checks, hints and planted mistakes of the notebooks: one file per notebook."""
