"""Meta-learners: their equations, and how they are computed."""
