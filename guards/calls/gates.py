"""Gates: what every model and tool call passes, in this order.

What refuses at once comes first, what waits next, and money last: nothing is set aside for a call that still waits.
"""

from guards.calls.calls import Gate
from guards.calls.circuits import BreakerGate, ShutGate
from guards.calls.in_flight import InFlightGate
from guards.calls.rate_gate import RateGate
from guards.calls.together import Together
from guards.ledger.ledger import LedgerGate
from guards.stores.chosen import store
from guards.taint.gate import TaintGate

_BOOKED = Together(store, BreakerGate(), LedgerGate())
GATES: tuple[Gate, ...] = (TaintGate(), ShutGate(), RateGate(store), InFlightGate(), _BOOKED)
