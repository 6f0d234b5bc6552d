"""From what monitors find to messages that reach somebody.

A monitor states a `condition`; `rules` say which conditions matter to whom; `manager` decides
when one begins, repeats and ends; `delivery` brings the message to the `sinks`.
"""
