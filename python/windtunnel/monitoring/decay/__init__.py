"""Whether a model still is as good as it was said to be, once outcomes are known.

Everything here is looked at after every bar, so the intervals are confidence sequences: they
hold at all times together, not at one chosen in advance.
"""
