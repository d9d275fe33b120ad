"""How feature caches are looked after once they are there."""
