"""The backbones there are to choose from, and how fast they were here."""
