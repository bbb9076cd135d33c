"""What may still be used: sums that hold at any fan-out, in a store that outlives the process."""
