"""The workstation's half of edge_ser: corpora, recipes, models, fitting and honest evaluation.

Run from a checkout as ``python -m train COMMAND`` (docs/training.md). It uses the device's own front end, so
a model sees in training what it will see on the Raspberry Pi.
"""
