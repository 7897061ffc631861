"""The embedded index: a folder of Arrow segments on this machine, searched by faiss, without any server."""
