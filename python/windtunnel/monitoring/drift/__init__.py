"""Whether what a model sees still is what it was trained on, with a stated rate of false alarms.

`reference` holds the training rows in their order, `distances` and `multivariate` measure how far
a window is from them, `calibration` finds by block bootstrap how far stationary data stray by
themselves, `detector` decides and `discovery` names the features.
"""
