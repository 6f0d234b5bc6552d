"""Which configurations to try next: strategies that ask and tell, and the search space."""
