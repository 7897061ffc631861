"""Pure functions of arrays that measure a model; empty until there are any beyond torchmetrics'."""
