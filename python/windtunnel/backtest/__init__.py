"""From scores or exposures to equity: policy, costs, the compiled engine and its specification.

Import the submodules: `policy` and `costs` are light (the served path uses them), `engine`
loads the compiled core.
"""
