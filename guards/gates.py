"""Gates: what every model and tool call passes, in this order.

What refuses at once comes first, what waits next, and money last: nothing is set aside for a call that still waits.
"""

from guards.calls import Gate
from guards.circuits import BreakerGate, Circuits, ShutGate
from guards.in_flight import InFlightGate
from guards.ledger import LedgerGate
from guards.rate_gate import RateGate
from guards.stores import Store
from guards.stores.memory import MemoryStore

_MEMORY = MemoryStore()


def _store() -> Store:
    return _MEMORY


CIRCUITS = Circuits(_store)
RATES = RateGate(_store)

GATES: tuple[Gate, ...] = (ShutGate(CIRCUITS), RATES, InFlightGate(), BreakerGate(CIRCUITS), LedgerGate())
