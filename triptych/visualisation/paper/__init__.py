"""Tools for drawing figures: fonts and colours, sheets, image tiles, class names, and input validation."""
