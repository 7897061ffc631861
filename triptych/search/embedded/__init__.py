"""The embedded index: a folder of Arrow segments on this machine, searched with faiss, without a server."""
