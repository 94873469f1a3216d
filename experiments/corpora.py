"""metaser corpora, from a clone."""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["corpora", *sys.argv[1:]])
