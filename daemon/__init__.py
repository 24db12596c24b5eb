"""The long-lived service: one process per user behind a unix socket, and the clients' way to it.

Nothing is imported here: the command line needs the client without the server, the server its service late.
"""
