"""What the Makefile runs besides the course, its tests and its Sphinx extensions."""
