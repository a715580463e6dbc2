"""The page beside the service: plain files, served as they are."""
