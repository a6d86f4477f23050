"""The only code here that does I/O: an engine at a socket, for plain sockets, asyncio and trio."""
