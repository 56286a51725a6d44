"""How findings are written: one module per output format, each a function from findings to text."""
