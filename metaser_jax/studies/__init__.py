"""Studies: a matrix of cells, each trained and scored once; what the drivers of experiments/ do."""
