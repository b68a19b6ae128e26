"""The exchange itself, free of sockets, files and any venue's protocol."""
