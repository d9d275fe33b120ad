"""What the first bytes of a picture tell before TensorFlow decodes it."""
