"""A reader of estimates: in order, without holes, joined with inputs and targets, as JSON lines."""
