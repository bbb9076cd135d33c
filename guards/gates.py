"""Gates: what every model and tool call passes, in this order.

What refuses at once comes first, what waits next, and money last: nothing is set aside for a call that still waits.
"""

from guards.calls import Gate
from guards.circuits import BreakerGate, ShutGate
from guards.in_flight import InFlightGate
from guards.ledger import LedgerGate
from guards.rate_gate import RateGate
from guards.stores.chosen import store

GATES: tuple[Gate, ...] = (ShutGate(), RateGate(store), InFlightGate(), BreakerGate(), LedgerGate())
