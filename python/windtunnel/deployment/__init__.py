"""Bundles, their replay certificate, and the registry that holds their versions."""
