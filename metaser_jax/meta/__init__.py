"""Meta-learners: their equations and their computation."""
