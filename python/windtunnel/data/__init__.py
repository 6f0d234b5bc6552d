"""Bars in, a panel of arrays out: loading, the quality gate, alignment, bundled samples."""
