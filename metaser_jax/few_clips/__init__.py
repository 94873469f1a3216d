"""A handful of labelled clips: reading, warnings, training, cross-validation."""
