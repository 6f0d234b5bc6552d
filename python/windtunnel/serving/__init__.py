"""The prediction service over a registry; a served model is a bundle, not a class."""
