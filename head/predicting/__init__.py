"""An exported model on pictures: inputs, answers, neighbours."""
