"""`fdcn verify`: two backends of a bundle on shared inputs, from the operator alone to the finished picture."""
