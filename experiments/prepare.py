"""metaser prepare, from a clone."""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
