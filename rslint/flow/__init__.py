"""What one function can do: control flow, dominance, data flow, effects on process groups, divergence."""
