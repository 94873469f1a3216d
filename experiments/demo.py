"""The main job in minutes, on synthetic voices: learns from two languages, adapts to three others, writes a report.

python experiments/demo.py
"""

import sys

from metaser_jax.commands import main

# Worker processes import this file again.
if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])
