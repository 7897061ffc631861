"""What a request passes before its image is decoded: access, limits, admission, body."""
