"""From one pair of releases to another: whether, who moved, what unblocks it, and since which release."""
