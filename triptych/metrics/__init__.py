"""Pure functions that say how good embeddings, predictions and reconstructions are."""
