"""A walk through every state that a client and a server can reach together, up to a bound."""
