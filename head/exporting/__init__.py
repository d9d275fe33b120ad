"""The full model and its formats, written only past the parity gate."""
