"""The content of the explorer's page: columns, thumbnails, maps and networks, packed for the page."""
