"""What the programs of experiments/ do, as functions of their configurations."""
