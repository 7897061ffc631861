"""What joins the training loop: one concern a file."""
