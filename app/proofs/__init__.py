"""What the log shows the world: checkpoints, tiles, proofs, receipts; and the witnesses it asks."""
