"""Networks of containers: what they're called, which addresses they have, the way out, ports and names."""
