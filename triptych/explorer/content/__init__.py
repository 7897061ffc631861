"""What the explorer's page shows: columns, thumbnails, maps, networks, packed for the page."""
