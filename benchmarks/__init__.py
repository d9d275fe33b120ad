"""Programs that measure Headstart beside what one would use without it."""
