"""Features to classifier to numbers to full model."""
