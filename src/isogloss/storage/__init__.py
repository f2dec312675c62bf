"""What is on disk: units, pieces of units, parts of results, each of which says if it is whole."""
