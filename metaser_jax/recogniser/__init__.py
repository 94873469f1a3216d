"""A model that was adapted to a language, and all that predicting with it needs: one folder, which can be shared."""
