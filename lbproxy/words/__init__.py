"""What is spoken of: plain values that every other room uses."""
