"""The recurrence: one LSTM layer, with its derivatives derived by hand.

layer.py has the layer and its rules of differentiation, cell.py the equations of one time step, and scan_loops.py and
kernel_loops.py run them over time in one of two ways.
"""

from metaser_jax.models.lstm.layer import RECURRENCES, Recurrence, lstm
from metaser_jax.models.lstm.loops import LSTMParams

__all__ = ["RECURRENCES", "LSTMParams", "Recurrence", "lstm"]
