# Filled by the next change: R models are not opened yet.
quit(status = 1)
