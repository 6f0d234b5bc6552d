"""Observers of events; what they do never disturbs what they watch."""
