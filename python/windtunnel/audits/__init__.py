"""Attempts to refute a study: each audit breaks one thing on purpose and says what came of it.

Import the submodules: `registry` runs the audits, `case` says of what, `subject` is the
pipeline that they examine, `result` what they answer.
"""
