"""Processing of a request before its image is decoded: access, limits, admission, body."""
