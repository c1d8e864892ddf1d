"""From a trained run to the one file that a device needs: a full-integer graph and everything it has to know.

``python -m convert RUN -o NAME.tflite`` is the whole interface; docs/converter.md explains what it does.
"""
