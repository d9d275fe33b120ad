"""A folder of pictures that knows what was asked of it."""

from embed.sources.folder import FolderSource


class CountingSource(FolderSource):
    """Counts calls, and the pictures that were taken.

    Args:
        root: The folder.
    """

    def __init__(self, root):
        super().__init__(root)
        self.calls = []
        self.num_read = 0

    def read(self, split, rows):
        """Yields one picture a row."""
        self.calls.append((split, list(rows)))
        for picture in super().read(split, rows):
            self.num_read += 1
            yield picture
