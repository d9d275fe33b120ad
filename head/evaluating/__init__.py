"""What a head answers, and the numbers, groups and pictures from it."""
