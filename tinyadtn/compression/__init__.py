"""A dense model becomes an encoded one: compress, fit, save and load, and tables of what it takes.

Read ``compress`` (which layers get which encoding), then ``fitting`` (encodings brought close to
given weights) and ``configure`` (a model from its configuration). ``checkpoint`` saves and loads.

The tables: ``summary`` (layer by layer), ``report`` (parameters and bytes), ``timing`` (how long
the layers take here), ``suggest`` (encodings that fit a budget).
"""
