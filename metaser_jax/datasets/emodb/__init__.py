"""The builder of emodb."""
