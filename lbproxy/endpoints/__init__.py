"""What is known about endpoints: their faults, and how to make them."""
