// Filled by the next change.
process.exit(1);
