"""python -m metaser_jax: the command metaser."""

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main()
