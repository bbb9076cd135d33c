"""Gates: what every model and tool call passes, in this order.

What refuses at once comes first, what waits next, and money last: nothing is set aside for a call that still waits.
"""

from guards.calls import Gate
from guards.ledger import LedgerGate

GATES: tuple[Gate, ...] = (LedgerGate(),)
