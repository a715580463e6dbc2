"""The commands of the command line about serving, one a file; each imports what it needs inside."""
