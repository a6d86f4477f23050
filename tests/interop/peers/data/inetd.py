"""Starts a program for each connection, which is its standard input and output: PORT PROGRAM [ARGUMENT ...]."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

port, *command = sys.argv[1:]


def serve(connection: socket.socket) -> None:
    with connection:
        subprocess.run(command, stdin=connection.fileno(), stdout=connection.fileno(), check=False)


with socket.create_server(("127.0.0.1", int(port))) as listener, ThreadPoolExecutor() as pool:
    while True:
        pool.submit(serve, listener.accept()[0])
