"""Search over `HeadSpec` with KerasTuner, on cached features."""
