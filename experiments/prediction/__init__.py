"""Prediction: measure what a message and a byte cost here, and compute what an exchange should take."""
