"""The live side: a microphone, a pipe or a file in real time becomes events, and sinks hear them.

It builds on the classifier's rooms; nothing there imports it.
"""
