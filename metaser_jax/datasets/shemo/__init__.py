"""The builder of shemo."""
