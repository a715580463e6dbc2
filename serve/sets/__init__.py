"""Large sets of pictures in a folder: `fdcn sample`."""
